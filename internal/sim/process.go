package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// The times of a process and its client.
const (
	ttl        = 30 * time.Second
	renewEvery = ttl / 3
	retryCall  = time.Second
	pushEvery  = 5 * time.Second
	// brokenAfter is when a server notices that a pushing client is gone.
	brokenAfter = 20 * time.Second
)

// process is the truth of one instance.
type process struct {
	up          bool
	gen         uint32 // of the process
	incarnation uint64
	says        health.Status
	lease       uint64 // what it believes to hold
	leases      uint64
	pushing     bool
	pushedAt    time.Duration // the last time it was heard

	cut, isolated, misconfigured bool
	drop                         int
	delay                        time.Duration
	// since is since when it has been well, or not been.
	wasWell bool
	since   stamp
}

// well reports whether there is nothing between it and us: what it says is what
// there is to know.
func (p *process) well() bool {
	return p.up && !p.cut && !p.isolated && !p.misconfigured && p.drop == 0 && p.delay < time.Second
}

// mark notes when it becomes well, or stops being so.
func (w *world) mark(in *instance) {
	if well := in.well(); well != in.wasWell || !in.since.set {
		in.wasWell, in.since = well, w.oracle.stamp()
		w.oracle.turned(in, well)
	}
}

// launch starts a process; one that runs is left alone.
func (w *world) launch(in *instance) {
	p := &in.process
	if p.up {
		return
	}
	p.up, p.gen, p.incarnation, p.lease = true, p.gen+1, p.incarnation+1, 0
	p.says = health.Starting
	if stock(in.service.Source) {
		p.says = health.NotServing // that is how stock servers say it
	}
	w.plan(in, taskReady, p.gen, 100*time.Millisecond+in.noise(w.longestStart()))
	if !in.service.Static {
		w.plan(in, taskRegister, p.gen, in.noise(200*time.Millisecond))
	} else if p.leases == 0 {
		w.register(in)
	}
	w.mark(in)
}

func (w *world) longestStart() time.Duration {
	if w.setup.Start > 0 {
		return w.setup.Start
	}
	return 3 * time.Second
}

func stock(s health.Source) bool { return s == health.SourceWatch || s == health.SourcePoll }

// end ends a process, whatever it was doing.
func (w *world) end(in *instance) {
	p := &in.process
	if !p.up {
		return
	}
	p.up, p.gen = false, p.gen+1
	w.stopPushing(in)
	if in.streaming && !in.deaf() {
		w.reset(in, time.Millisecond)
	}
	p.lease = 0
	w.mark(in)
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
			w.coord.call(command{in: in, deregister: true, lease: p.lease})
		}
		w.end(in)
	}
}

// say makes the process say s of itself, to whoever listens.
func (w *world) say(in *instance, s health.Status) {
	p := &in.process
	if !p.up {
		return
	}
	if stock(in.service.Source) && s != health.Serving {
		s = health.NotServing // they know no other
	}
	p.says = s
	w.oracle.turned(in, in.well())
	if p.pushing && !p.isolated {
		w.coord.deliver(message{in: in, ev: in.report(health.SourcePush, p.lease)})
	}
	if in.streaming && in.service.Source != health.SourcePoll {
		w.tell(in)
	}
}

func (w *world) register(in *instance) {
	if !w.coord.up || in.isolated && !in.service.Static {
		w.plan(in, taskRegister, in.process.gen, retryCall)
		return
	}
	w.coord.call(command{in: in, register: true, process: in.incarnation})
}

// registered is the answer to register.
func (w *world) registered(in *instance, lease uint64) {
	if in.up && !in.service.Static {
		if in.lease == 0 {
			w.plan(in, taskRenew, in.process.gen, renewEvery)
		}
		in.lease = lease
	}
}

func (w *world) renew(in *instance) {
	if in.lease == 0 {
		return // it registers anew
	}
	w.plan(in, taskRenew, in.process.gen, renewEvery)
	if w.coord.up && !in.isolated {
		w.coord.deliver(message{in: in, renewal: true, ev: health.Event{Kind: health.EventRenew, ID: in.id, Lease: in.lease}})
	}
}

// renewed is the answer to renew.
func (w *world) renewed(in *instance, lease uint64, known, unreachable bool) {
	switch {
	case in.lease != lease || !in.up:
	case !known:
		w.stopPushing(in)
		in.lease = 0
		w.plan(in, taskRegister, in.process.gen, 0)
	case unreachable && !in.pushing:
		in.pushing, in.pushedAt = true, w.now
		w.coord.deliver(message{in: in, ev: health.Event{Kind: health.EventPushed, ID: in.id, Lease: in.lease, On: true}})
		w.coord.deliver(message{in: in, ev: in.report(health.SourcePush, in.lease)})
		w.plan(in, taskPush, in.process.gen, pushEvery)
	}
}

// push keeps the stream that pushes alive, as long as it is needed.
func (w *world) push(in *instance) {
	switch {
	case !in.pushing:
		return
	case !in.isolated && in.cut:
		in.pushedAt = w.now
		w.coord.deliver(message{in: in, ev: health.Event{Kind: health.EventAlive, ID: in.id, Lease: in.lease}})
	case w.now-in.pushedAt >= brokenAfter:
		w.stopPushing(in)
		return
	}
	w.plan(in, taskPush, in.process.gen, pushEvery)
}

func (w *world) stopPushing(in *instance) {
	if in.pushing {
		in.pushing = false
		w.coord.deliver(message{in: in, ev: health.Event{Kind: health.EventPushed, ID: in.id, Lease: in.lease}})
	}
}

// secret must never reach the public.
const secret = "secret"

// report is what it says, as it comes by source.
func (in *instance) report(source health.Source, lease uint64) health.Event {
	r := health.Report{Source: source, Status: in.says}
	if in.says != health.Serving {
		r.Reason = secret
	}
	return health.Event{Kind: health.EventReport, ID: in.id, Lease: lease, Report: r}
}
