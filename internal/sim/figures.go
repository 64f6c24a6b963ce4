package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Figures is how well the judgement did, as those see it who ask.
type Figures struct {
	Transitions int // of instances
	// FalseDown is how often an instance was called not routable that was up
	// and said that it serves.
	FalseDown int
	// Detected is how long those were called routable that were not; Held how
	// long those were not that were, and could be reached.
	Detected, Held []time.Duration
	// ServiceDown is how often a service was called NOT_SERVING, more than half of
	// whose registered instances served.
	ServiceDown int
}

// turned notes that the truth about in has changed, or what it says.
func (o *oracle) turned(in *instance, well bool) {
	up := in.up && in.says.Routable()
	if up != in.serves {
		in.serves, in.servesSince = up, o.w.now
	}
	if reached := up && well; reached != in.usable {
		in.usable, in.usableSince = reached, o.w.now
	}
}

// truth is how an instance really is, for the figures.
type truth struct {
	serves, usable           bool
	servesSince, usableSince time.Duration
}

func (f *Figures) transition(o *oracle, r *record, c *health.Change) {
	in := r.in
	f.Transitions++
	switch up, was := c.Status.Routable(), c.From.Routable(); {
	case up == was, c.Override != nil || r.state.Override != nil:
	case up && in.usable:
		f.Held = append(f.Held, o.w.now-max(in.usableSince, o.w.coord.startedAt.at))
	case up: // it is not so any more
	case in.serves && c.Cause != health.CauseStarting && c.Cause != health.CauseFlapping:
		f.FalseDown++
	case !in.up:
		f.Detected = append(f.Detected, o.w.now-in.servesSince)
	}
}

// service notes what a service is called.
func (f *Figures) service(o *oracle, c *health.Change) {
	if c.Status != health.NotServing || c.From == health.NotServing {
		return
	}
	all, serving := 0, 0
	for _, s := range o.w.services {
		for _, in := range s.instances {
			if s.Name == c.ID.Service && o.records[in.id] != nil {
				all++
				serving += count(in.serves)
			}
		}
	}
	if 2*serving > all {
		f.ServiceDown++
	}
}
