package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Result has the first fault that [Play] found in a script, and the figures of the script.
type Result struct {
	Fault   *Fault        // the first fault; nil if every check of the oracle succeeded
	Events  int           // number of events that the mesh has received
	Took    time.Duration // simulated time from the begin to the end of the script
	Figures Figures
}

// Play plays a script. After the last step it ends all failures, and checks that the true
// status of every instance is published. It then deregisters all instances, and checks that
// mesh, feed and store are empty.
func Play(s *Script) Result { return play(newWorld(s.Setup), s) }

// Measure plays a script as [Play] does, but ignores all faults and returns the figures.
func Measure(s *Script) Figures {
	w := newWorld(s.Setup)
	w.lenient = true
	return play(w, s).Figures
}

func play(w *world, s *Script) Result {
	last := time.Duration(0)
	if n := len(s.Steps); n > 0 {
		last = s.Steps[n-1].At
	}
	w.run(s.Steps, last)
	w.recover()
	w.leave()
	return Result{Fault: w.fault, Events: w.events, Took: w.now, Figures: w.oracle.figures}
}

// recover ends all failures. It waits for longer than the time by which guards and flap damping
// can delay a status. Then it checks that every instance is published with its true status.
func (w *world) recover() {
	p := &w.setup.Policy
	for _, in := range w.all {
		w.heal(in)
	}
	clear(w.oracle.expected)
	well := max(w.now, w.coord.stalledUntil, w.coord.pausedUntil, w.coord.upAt)
	w.run(nil, well+max(p.Amnesty, 0)+2*p.UnreachableAfter+p.FlapMax+time.Minute)
	for _, in := range w.all {
		if w.fault == nil {
			w.checkFinal(in)
		}
	}
}

// checkFinal is called after all failures have ended. It checks that an instance is published with
// its true status.
func (w *world) checkFinal(in *instance) {
	r := w.oracle.records[in.id]
	switch {
	case r == nil && in.up && in.lease != 0:
		w.fail("end", "%s is up, and not registered", in.id)
	case r == nil:
	case in.up && (in.lease != 0 || in.service.Static) && r.state.Judged != in.says:
		w.fail("end", "%s says %s in the end: %+v", in.id, in.says, r.state)
	case in.service.Static && in.other != nobody:
		if want := in.otherStatus(); r.state.Judged != want {
			w.fail("end", "of %s another process says %s in the end: %+v", in.id, want, r.state)
		}
	case !in.up && (r.state.Judged.Routable() || in.service.Static && r.state.Judged == health.Draining):
		w.fail("end", "%s is dead in the end: %+v", in.id, r.state)
	}
}

// leave deregisters all instances, and then checks that mesh, feed and store are empty.
func (w *world) leave() {
	if w.fault != nil {
		return
	}
	for _, in := range w.all {
		w.end(in)
		w.remove(in)
	}
	w.run(nil, w.now+10*time.Second)
	if w.fault != nil {
		return
	}
	kept, m, f := w.coord.load(), w.coord.mesh(), w.coord.feed
	if m.Len() != 0 || len(m.Snapshot(nil)) != 1 || f.Len() > 2 || len(kept.Registrations)+len(kept.Statuses) != 0 {
		w.fail("left over", "%d instances, %d states, %d entries, stored %+v", m.Len(), len(m.Snapshot(nil)), f.Len(), kept)
	}
	if s, _ := m.State(health.ID{Service: health.MeshName}); s.Status != health.Unknown && s.Revision != 0 {
		w.fail("left over", "an empty mesh is %+v", s)
	}
}
