package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// The times of the simulated process of an instance, and of its client.
const (
	ttl        = 30 * time.Second
	renewEvery = ttl / 3
	retryCall  = time.Second
	pushEvery  = 5 * time.Second
	// brokenAfter is the time after which a push stream ends if it carries no heartbeat.
	brokenAfter = 20 * time.Second
)

// open reports whether the network passes all messages between the address of the process and
// the coordinator, with less than 1 s of delay.
func (p *process) open() bool {
	return !p.cut && !p.isolated && !p.misconfigured && p.drop == 0 && p.delay < time.Second
}

// isWell reports whether the coordinator can receive the right status of the instance from its
// address. For a static instance, a foreign process also gives the right status, unless it
// belongs to another service.
func (in *instance) isWell() bool {
	if in.service.Static && in.other != nobody {
		return in.other != otherService && in.open()
	}
	return in.up && in.open() && in.other == nobody && in.sick == sickNot && !in.unnamed
}

// noteReach stores whether the coordinator can receive the right status of the instance, whether the
// network drops all its messages, and when these facts changed. It must be called after each
// change of an instance.
func (w *world) noteReach(in *instance) {
	if in.deaf() && !in.wasDeaf {
		in.deafSince = w.now
	}
	in.wasDeaf = in.deaf()
	if well := in.isWell(); well != in.wasWell || !in.since.set {
		in.wasWell, in.since = well, w.oracle.stamp()
		w.oracle.noteTruth(in, well)
	}
}

// launch starts the process of an instance, unless the process is already running.
func (w *world) launch(in *instance) {
	p := &in.process
	if p.up {
		return
	}
	w.vacate(in)
	p.up, p.gen, p.incarnation, p.lease = true, p.gen+1, p.incarnation+1, 0
	in.sick, in.unnamed, in.stub, in.listener = sickNot, false, false, in.listener+1
	p.says = health.Starting
	if stock(in.service.Source) {
		p.says = health.NotServing // grpc.health.v1 has no STARTING
	}
	w.plan(in, taskReady, p.gen, 100*time.Millisecond+in.noise(w.longestStart()))
	if !in.service.Static {
		w.plan(in, taskRegister, p.gen, in.noise(200*time.Millisecond))
	} else if !p.registered {
		w.register(in)
	}
	w.noteReach(in)
}

func (w *world) longestStart() time.Duration {
	if w.setup.Start > 0 {
		return w.setup.Start
	}
	return 3 * time.Second
}

// end kills the process of an instance, if the process is running.
func (w *world) end(in *instance) {
	p := &in.process
	if !p.up {
		return
	}
	p.up, p.gen, p.ended = false, p.gen+1, w.oracle.stamp()
	w.stopPushing(in)
	if in.other == nobody {
		w.relisten(in)
	}
	p.lease = 0
	w.noteReach(in)
}

func (w *world) processTask(in *instance, kind taskKind) {
	p := &in.process
	switch kind {
	case taskReady:
		if p.says == health.Starting || stock(in.service.Source) && p.says == health.NotServing {
			w.say(in, health.Serving)
		}
	case taskRegister:
		w.register(in)
	case taskRenew:
		w.renew(in)
	case taskPush:
		w.push(in)
	case taskGone:
		if !in.service.Static && p.lease != 0 && !p.isolated {
			w.coord.call(deregisterCall(in, p.lease))
		}
		w.end(in)
	}
}

// say makes the process of an instance report the status s from now on. The process sends s
// on all its open streams.
func (w *world) say(in *instance, s health.Status) {
	p := &in.process
	if !p.up {
		return
	}
	if stock(in.service.Source) && s != health.Serving {
		s = health.NotServing // a stock server has only SERVING and NOT_SERVING
	}
	p.says = s
	w.oracle.noteTruth(in, in.isWell())
	if p.pushing && !p.isolated {
		w.coord.deliver(message{in: in, own: true, ev: in.report(p.lease)})
	}
	if in.streaming && in.other == nobody && in.source != health.SourcePoll {
		w.followers.sendStatus(in)
	}
}

func (w *world) register(in *instance) {
	if !w.coord.up || in.isolated && !in.service.Static {
		w.plan(in, taskRegister, in.process.gen, retryCall)
		return
	}
	w.coord.call(registerCall(in))
}

func (w *world) renew(in *instance) {
	if in.lease == 0 {
		return // the client has lost its lease, and is registering again
	}
	w.plan(in, taskRenew, in.process.gen, renewEvery)
	if w.coord.up && !in.isolated {
		w.coord.deliver(message{
			in: in, ev: mesh.Event{Kind: mesh.EventRenew, ID: in.id, Lease: in.lease},
			reply: func(r *core.Renewal) { w.renewed(in, r) },
		})
	}
}

// renewed updates the client of an instance after the reply to a renewal. A client whose
// instance cannot be reached opens a push stream.
func (w *world) renewed(in *instance, r *core.Renewal) {
	switch {
	case in.lease != r.Lease || !in.up:
	case r.Err != nil:
		w.stopPushing(in)
		in.lease = 0
		w.plan(in, taskRegister, in.process.gen, 0)
	case r.Unreachable && !in.pushing:
		in.pushing, in.pushedAt = true, w.now
		w.coord.deliver(message{in: in, ev: mesh.Event{Kind: mesh.EventPushed, ID: in.id, Lease: in.lease, On: true}})
		w.coord.deliver(message{in: in, own: true, ev: in.report(in.lease)})
		w.plan(in, taskPush, in.process.gen, pushEvery)
	}
}

// push makes the client send a heartbeat on its push stream, if the instance needs the stream.
// It ends the stream if the client sent its last heartbeat at least 20 s ago (the constant
// brokenAfter).
func (w *world) push(in *instance) {
	switch {
	case !in.pushing:
		return
	case !in.isolated && in.needsPush():
		in.pushedAt = w.now
		w.coord.deliver(message{in: in, own: true, ev: mesh.Event{Kind: mesh.EventAlive, ID: in.id, Lease: in.lease, Proven: true}})
	case w.now-in.pushedAt >= brokenAfter:
		w.stopPushing(in)
		return
	}
	w.plan(in, taskPush, in.process.gen, pushEvery)
}

func (w *world) stopPushing(in *instance) {
	if in.pushing {
		in.pushing = false
		w.coord.deliver(message{in: in, ev: mesh.Event{Kind: mesh.EventPushed, ID: in.id, Lease: in.lease}})
	}
}

// report returns the event that the coordinator receives when the client sends the status of
// the instance on its push stream.
func (in *instance) report(lease uint64) mesh.Event {
	r := mesh.Report{Source: health.SourcePush, Status: in.says}
	if in.says != health.Serving {
		r.Reason = secret
	}
	return mesh.Event{Kind: mesh.EventReport, ID: in.id, Lease: lease, Proven: true, Report: r}
}

// needsPush reports whether the coordinator cannot get the status from the address of the
// instance, so that the client must push the status.
func (in *instance) needsPush() bool {
	return in.cut || in.other != nobody || in.sick == sickFull
}
