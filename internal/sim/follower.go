package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// The times of a follower, as those of coordinator/watch.
const (
	dialTimeout  = 5 * time.Second
	checkTimeout = 4 * time.Second
	firstRedial  = 1100 * time.Millisecond
	maxRedial    = 15 * time.Second
	missedBeats  = 3
)

// beatEvery is how often something ought to be heard.
func (w *world) beatEvery() time.Duration { return max(time.Second, w.pace(5*time.Second)) }

// pace is how often targets are asked at least.
func (w *world) pace(every time.Duration) time.Duration {
	return min(every, w.setup.Policy.UnreachableAfter/3)
}

// follower is what the coordinator knows of the way to one instance.
type follower struct {
	followed  uint64 // the lease; 0: nobody is followed
	gen       uint32 // of the stream or the dial
	streaming bool
	to        uint32 // the process it streams from
	behind    bool   // it has not been told the last
	heardAt   time.Duration
	dialedAt  time.Duration
	failures  int
	lastSent  time.Duration // when the last delayed message will be there
}

// deaf reports whether nothing of it comes through to its follower.
func (in *instance) deaf() bool { return in.cut || in.isolated }

// follow begins with a new lease.
func (w *world) follow(in *instance, lease uint64, after time.Duration) {
	f := &in.follower
	*f = follower{followed: lease, gen: f.gen + 1}
	w.plan(in, taskDial, f.gen, after)
}

func (w *world) unfollow(in *instance) {
	in.followed, in.streaming = 0, false
	in.follower.gen++
}

// reset ends the stream, and dials again.
func (w *world) reset(in *instance, after time.Duration) {
	f := &in.follower
	f.streaming, f.failures, f.lastSent = false, 0, 0
	f.gen++
	if f.followed != 0 {
		w.plan(in, taskDial, f.gen, after)
	}
}

func (w *world) followerTask(in *instance, kind taskKind) {
	f := &in.follower
	switch kind {
	case taskDial:
		w.dial(in)
	case taskDialFail:
		w.see(in, health.Event{Kind: health.EventPath, Reason: "time-out"}, f.dialedAt)
		w.redial(in)
	case taskSilence:
		limit := missedBeats * w.beatEvery()
		if stock(in.service.Source) {
			limit = w.beatEvery() + w.patient(checkTimeout)
		}
		if left := f.heardAt + limit - w.now; left > 0 {
			w.plan(in, taskSilence, f.gen, left)
			return
		}
		w.see(in, health.Event{Kind: health.EventPath, Reason: "silent"}, f.heardAt)
		w.reset(in, 0)
	}
}

// patient is how long to wait: longer where we are not well.
func (w *world) patient(d time.Duration) time.Duration {
	return min(d*time.Duration(1+w.coord.mesh.Score()), w.setup.Policy.UnreachableAfter/2)
}

func (w *world) dial(in *instance) {
	f := &in.follower
	f.dialedAt = w.now
	switch {
	case in.deaf():
		w.plan(in, taskDialFail, f.gen, w.patient(dialTimeout))
	case !in.up:
		w.see(in, health.Event{Kind: health.EventRefused, Reason: "refused"}, 0)
		w.redial(in)
	case in.misconfigured:
		w.see(in, health.Event{Kind: health.EventConfig, Cause: health.CauseTLS, Reason: "whose certificate?"}, 0)
		w.redial(in)
	default:
		f.streaming, f.to, f.failures, f.heardAt, f.behind = true, in.process.gen, 0, w.now, false
		w.plan(in, taskBeat, f.gen, w.beatEvery()/2+in.noise(w.beatEvery()))
		w.plan(in, taskSilence, f.gen, w.beatEvery())
		w.tell(in)
	}
}

func (w *world) redial(in *instance) {
	f := &in.follower
	wait := firstRedial
	for range f.failures {
		wait = min(wait*3/2, max(firstRedial, w.pace(maxRedial)))
	}
	if f.failures > 0 {
		wait += in.noise(wait / 4)
	}
	f.failures++
	w.plan(in, taskDial, f.gen, wait)
}

// beat is a heartbeat, the answer to a Check, or a poll.
func (w *world) beat(in *instance) {
	f := &in.follower
	if !f.streaming {
		return
	}
	switch {
	case in.deaf():
	case !in.up || f.to != in.process.gen:
		w.reset(in, 0) // the other end has forgotten the stream
		return
	case f.behind, in.service.Source == health.SourcePoll:
		w.tell(in)
	default:
		w.hear(in, health.Event{Kind: health.EventAlive, ID: in.id, Lease: f.followed})
	}
	w.plan(in, taskBeat, f.gen, w.beatEvery())
}

// tell is the process's status, on the stream.
func (w *world) tell(in *instance) {
	if in.behind = in.deaf(); !in.behind {
		w.hear(in, in.report(in.service.Source, in.followed))
	}
}

// hear is something that the process sends to its follower.
func (w *world) hear(in *instance, ev health.Event) {
	f := &in.follower
	if in.drop > 0 {
		in.drop--
		w.mark(in)
		if ev.Kind == health.EventReport { // a stream does not lose what comes between
			w.reset(in, 100*time.Millisecond)
		}
		return
	}
	m := message{in: in, ev: ev, gen: f.gen}
	if in.delay == 0 && f.lastSent <= w.now {
		w.arrive(in, &m)
		return
	}
	f.lastSent = max(f.lastSent, w.now+in.delay)
	w.agenda.push(task{at: f.lastSent, kind: taskArrive, in: in, msg: &m})
}

// arrive hands over what was sent, unless its stream is gone. What was sent
// under an earlier lease comes all the same: it may wait anywhere.
func (w *world) arrive(in *instance, m *message) {
	f := &in.follower
	switch {
	case m.ev.Lease == f.followed && (m.gen != f.gen || !f.streaming):
		return
	case m.ev.Lease == f.followed && in.deaf():
		f.behind = true
		return
	case m.ev.Lease == f.followed:
		f.heardAt = w.now
	}
	w.coord.deliver(*m)
}

// see is what the follower finds out by itself; since is when a wait in vain
// began.
func (w *world) see(in *instance, ev health.Event, since time.Duration) {
	ev.ID, ev.Lease = in.id, in.followed
	w.coord.deliver(message{in: in, ev: ev, waited: since != 0, since: since})
}
