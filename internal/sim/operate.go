package sim

import (
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// do does one step. What it is about may be gone: steps are left out at will.
func (w *world) do(s *Step) {
	switch s.Op {
	case OpPart, OpJoin:
		w.doZone(s)
	case OpPause, OpCrash, OpStall, OpWall:
		w.doCoordinator(s)
	case OpExpect:
		w.oracle.expect(s.Who, s.N)
	default:
		if in := w.named[s.Who]; in != nil {
			w.doInstance(in, s)
		}
	}
}

func (w *world) doCoordinator(s *Step) {
	c := w.coord
	switch s.Op {
	case OpPause:
		c.pausedUntil = max(c.pausedUntil, w.now+s.For)
	case OpCrash:
		c.crash(max(s.For, time.Millisecond))
	case OpStall:
		c.stalledUntil = max(c.stalledUntil, w.now+s.For)
		c.wakeAt = min(c.wakeAt, c.stalledUntil)
	case OpWall:
		c.clock.jump += s.For
	}
}

func (w *world) doInstance(in *instance, s *Step) {
	switch s.Op {
	case OpAdd:
		w.launch(in)
	case OpKill:
		w.end(in)
	case OpStop:
		w.say(in, health.Draining)
		w.plan(in, taskGone, in.process.gen, s.For)
	case OpSay:
		w.say(in, s.Status)
	case OpOverride:
		o := &health.Override{Status: s.Status, Reason: secret, SetAt: w.coord.clock.at(w.now).Round(0)}
		if s.For > 0 {
			o.ExpiresAt = o.SetAt.Add(s.For)
		}
		w.coord.call(command{in: in, override: o})
	case OpClear:
		w.coord.call(command{in: in})
	case OpRemove:
		w.remove(in)
	default:
		w.doPath(in, s)
	}
}

func (w *world) doPath(in *instance, s *Step) {
	switch s.Op {
	case OpCut:
		in.cut = true
	case OpIsolate:
		in.isolated = true
	case OpHeal:
		w.heal(in)
	case OpDrop:
		in.drop += s.N
	case OpDelay:
		in.delay = s.For
	case OpConfig:
		in.misconfigured = true
		if in.streaming && in.up && !in.deaf() {
			w.reset(in, time.Millisecond)
		}
	}
	w.mark(in)
}

func (w *world) heal(in *instance) {
	in.cut, in.isolated, in.misconfigured, in.drop, in.delay = false, false, false, 0, 0
	w.mark(in)
	if in.streaming && in.behind && in.up && in.to == in.process.gen && in.service.Source != health.SourcePoll {
		w.tell(in) // what the network held back
	}
}

// remove is what a person or the end of the script does: whoever holds it.
func (w *world) remove(in *instance) {
	lease := in.lease
	if r := w.oracle.records[in.id]; r != nil && w.coord.up {
		lease = r.lease
	}
	if w.coord.up && w.now >= w.coord.stalledUntil {
		w.coord.call(command{in: in, deregister: true, lease: lease})
	}
}

// doZone parts a zone, or joins it again.
func (w *world) doZone(s *Step) {
	var there []*instance
	for _, in := range w.all {
		if s.Who == "" || in.zone == s.Who {
			there = append(there, in)
		}
	}
	if s.Op == OpJoin {
		for _, in := range there {
			w.heal(in)
		}
		return
	}
	there = slices.DeleteFunc(there, func(in *instance) bool { return !in.well() || w.oracle.records[in.id] == nil })
	salt := mix(uint64(s.At))
	slices.SortFunc(there, func(a, b *instance) int {
		if mix(a.key^salt) < mix(b.key^salt) {
			return -1
		}
		return 1
	})
	for _, in := range there[:min(len(there), max(0, len(there)/2+s.N))] {
		in.isolated = true
		w.mark(in)
	}
}
