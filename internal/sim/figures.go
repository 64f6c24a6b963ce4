package sim

import (
	"github.com/meshhealth/meshhealth/health"
)

// noteTruth updates in.truth, the facts with which the figures compare the published statuses.
// well is true if the coordinator can receive the right status of the instance.
func (o *oracle) noteTruth(in *instance, well bool) {
	up := in.up && in.says.Routable()
	if up != in.serves {
		in.serves, in.servesSince = up, o.w.now
	}
	if reached := up && well; reached != in.usable {
		in.usable, in.usableSince = reached, o.w.now
	}
}

func (f *Figures) transition(o *oracle, r *record, c *health.Change) {
	in := r.in
	f.Transitions++
	switch up, was := c.Status.Routable(), c.From.Routable(); {
	case up == was, c.Override != nil || r.state.Override != nil:
	case up && in.usable:
		f.Held = append(f.Held, o.w.now-max(in.usableSince, o.w.coord.startedAt.at))
	case up: // the change is not counted: the instance is published as routable but cannot be used now
	case in.serves && c.Cause != health.CauseStarting && c.Cause != health.CauseFlapping:
		f.FalseDown++
	case !in.up:
		f.Detected = append(f.Detected, o.w.now-in.servesSince)
	}
}

// service adds 1 to ServiceDown if the change c wrongly makes a service NOT_SERVING. The change
// is wrong if the processes of more than half of the registered instances report a routable
// status.
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
