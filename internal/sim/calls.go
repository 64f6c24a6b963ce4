package sim

import (
	"strconv"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// registerCall returns a call that registers the running process of an instance.
func registerCall(in *instance) *call {
	s := health.Spec{
		Address: in.id.Instance, Zone: in.zone, Incarnation: strconv.FormatUint(in.incarnation, 10),
		Static: in.service.Static, Proves: in.embedded(),
	}
	if !s.Static {
		s.TTL = ttl
	}
	return &call{in: in, process: in.incarnation, Command: core.Command{Register: []wire.Registration{{ID: in.id, Spec: s}}}}
}

func deregisterCall(in *instance, lease uint64) *call {
	return &call{in: in, Command: core.Command{Deregister: &core.Deregistration{ID: in.id, Lease: lease}}}
}

// overrideCall returns a call that sets the override of an instance to o. A nil o clears the
// override.
func overrideCall(in *instance, o *health.Override) *call {
	return &call{in: in, Command: core.Command{Override: &core.OverrideChange{Scope: health.ScopeOf(in.id), Override: o}}}
}

// call sends a command to the coordinator. If the coordinator is down, call plans to repeat a
// registration, and drops every other command.
func (c *coordinator) call(cl *call) {
	if !c.up {
		c.w.repeat(cl)
		return
	}
	c.calls = append(c.calls, cl)
	c.wakeAt = min(c.wakeAt, c.w.now+lag)
}

// answered updates the simulated client after the coordinator has replied to its command cl.
func (c *coordinator) answered(cl *call) {
	cl.answered = true
	switch {
	case cl.Register == nil:
	case cl.Err != nil:
		c.w.repeat(cl)
	default:
		c.w.oracle.noteAcknowledged(cl)
		c.w.registered(cl)
	}
}

// repeat plans another attempt of the command cl if it is a registration. It is called after
// an attempt that failed or had no reply.
func (w *world) repeat(cl *call) {
	if cl.Register != nil && cl.in.up && cl.process == cl.in.incarnation {
		w.plan(cl.in, taskRegister, cl.in.process.gen, retryCall)
	}
}

// registered gives the instance the lease that the coordinator has granted, and plans its
// first renewal.
func (w *world) registered(cl *call) {
	in := cl.in
	in.registered = true
	if cl.process == in.incarnation && in.up && !in.service.Static {
		if in.lease == 0 {
			w.plan(in, taskRenew, in.process.gen, renewEvery)
		}
		in.lease = cl.Specs[0].Lease
	}
}
