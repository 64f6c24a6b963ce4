package sim

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

func newWorld(s Setup) *world {
	w := &world{setup: s, named: map[string]*instance{}}
	w.setup.Policy = s.Policy.WithDefaults()
	w.setup.Policy.Services = map[string]health.ServicePolicy{}
	for _, v := range s.Services {
		w.addService(v)
	}
	w.followers, w.oracle = followers{w}, newOracle(w)
	w.coord = newCoordinator(w)
	w.readers = newReaders(w)
	w.coord.start()
	return w
}

func (w *world) addService(v Service) {
	s := &service{Service: v}
	w.services = append(w.services, s)
	w.setup.Policy.Services[v.Name] = v.Policy
	for n := range v.Instances {
		in := &instance{service: s, id: health.ID{Service: v.Name, Instance: fmt.Sprint(n)}}
		if v.Zones > 0 {
			in.zone = fmt.Sprint("z", n%v.Zones)
		}
		in.key = mix(w.setup.Seed ^ hash(in.id.String()))
		s.instances = append(s.instances, in)
		w.all = append(w.all, in)
		w.named[in.id.String()] = in
	}
}

// run plays the steps of a script until the time stopAt or the first fault. Between the steps
// it performs the tasks of the agenda and calls core.Step, in the order of their times.
func (w *world) run(steps []Step, stopAt time.Duration) {
	for w.fault == nil {
		next := min(w.agenda.next(), w.coord.next())
		if len(steps) > 0 && steps[0].At <= next {
			w.now = max(w.now, steps[0].At)
			w.playStep(&steps[0])
			steps = steps[1:]
			continue
		}
		if next > stopAt {
			w.now = max(w.now, stopAt)
			return
		}
		w.now = max(w.now, next)
		if w.agenda.next() <= w.coord.next() {
			t := w.agenda.pop()
			w.performTask(&t)
			continue
		}
		w.coord.act()
	}
}

// performTask performs one task of the agenda. Followers run in the process of the
// coordinator, so their tasks wait while the coordinator is paused.
func (w *world) performTask(t *task) {
	in := t.in
	switch t.kind {
	case taskDial, taskDialFail, taskSilence:
		if t.gen != in.follower.gen {
			return
		}
		if until := w.coord.pausedUntil; until > w.now {
			w.plan(in, t.kind, t.gen, until-w.now+time.Millisecond)
			return
		}
		w.followers.followerTask(in, t.kind)
	case taskBeat:
		if t.gen == in.follower.gen {
			w.followers.beat(in)
		}
	case taskArrive:
		w.followers.receive(in, t.msg)
	default:
		if t.gen == in.process.gen {
			w.processTask(in, t.kind)
		}
	}
}
