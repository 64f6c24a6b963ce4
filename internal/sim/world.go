package sim

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// world is the truth: which processes run, what they say, and who reaches whom.
type world struct {
	setup    Setup
	now      time.Duration
	agenda   agenda
	services []*service
	all      []*instance
	named    map[string]*instance
	coord    *coordinator
	oracle   *oracle
	readers  []*reader
	events   int // applied to the mesh
	fault    *Fault
	lenient  bool // only the figures are of interest
}

// service is one of the setup, with its instances.
type service struct {
	Service
	instances []*instance
}

// instance is a place where a process of a service may run, and where one
// follower of the coordinator looks.
type instance struct {
	service *service
	id      health.ID
	zone    string
	key     uint64 // what is random about it hangs on this
	draws   uint64
	process
	follower
	truth
}

func newWorld(s Setup) *world {
	w := &world{setup: s, named: map[string]*instance{}}
	w.setup.Policy = s.Policy.WithDefaults()
	w.setup.Policy.Services = map[string]health.ServicePolicy{}
	for _, v := range s.Services {
		w.addService(v)
	}
	w.oracle = newOracle(w)
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

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix is splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// noise is a random time below most, by the instance's own draws.
func (in *instance) noise(most time.Duration) time.Duration {
	in.draws++
	return time.Duration(mix(in.key+in.draws) % uint64(most))
}

// plan puts a task of in on the agenda.
func (w *world) plan(in *instance, kind taskKind, gen uint32, after time.Duration) {
	w.agenda.push(task{at: w.now + after, kind: kind, gen: gen, in: in})
}

// run plays steps, and what follows from them until end.
func (w *world) run(steps []Step, end time.Duration) {
	for w.fault == nil {
		next := min(w.agenda.next(), w.coord.next())
		if len(steps) > 0 && steps[0].At <= next {
			w.now = max(w.now, steps[0].At)
			w.do(&steps[0])
			steps = steps[1:]
			continue
		}
		if next > end {
			w.now = max(w.now, end)
			return
		}
		w.now = max(w.now, next)
		if w.agenda.next() <= w.coord.next() {
			t := w.agenda.pop()
			w.perform(&t)
			continue
		}
		w.coord.act()
	}
}

// perform does one task. What a follower does waits for a coordinator that
// stands still: it is one process.
func (w *world) perform(t *task) {
	in := t.in
	switch t.kind {
	case taskDial, taskDialFail, taskSilence:
		if t.gen != in.follower.gen {
			return
		}
		if until := w.coord.pausedUntil; until > w.now {
			if t.kind == taskSilence && !stock(in.service.Source) {
				in.heardAt = until // what it sent may wait for us
			} // but a Check that was not answered has failed by then
			w.plan(in, t.kind, t.gen, until-w.now+time.Millisecond)
			return
		}
		w.followerTask(in, t.kind)
	case taskBeat:
		if t.gen == in.follower.gen {
			w.beat(in)
		}
	case taskArrive:
		w.arrive(in, t.msg)
	default:
		if t.gen == in.process.gen {
			w.processTask(in, t.kind)
		}
	}
}

// fail notes the first fault there is.
func (w *world) fail(rule, format string, args ...any) {
	if w.fault == nil && !w.lenient {
		w.fault = &Fault{Rule: rule, At: w.now, Detail: fmt.Sprintf(format, args...)}
	}
}
