package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// The times of a simulated follower. They are equal to those of internal/coordinator/follow.
const (
	dialTimeout  = 5 * time.Second
	checkTimeout = 4 * time.Second
	firstRedial  = 1100 * time.Millisecond
	maxRedial    = 15 * time.Second
	missedBeats  = 3
)

// beatEvery returns the interval between two heartbeats of a stream, or between two polls of
// an instance.
func (w *world) beatEvery() time.Duration { return max(time.Second, w.pace(5*time.Second)) }

// pace returns interval, but at most a third of UnreachableAfter.
func (w *world) pace(interval time.Duration) time.Duration {
	return min(interval, w.setup.Policy.UnreachableAfter/3)
}

// follow starts the follower of an instance that has a new lease. The follower dials after the
// duration delay.
func (w followers) follow(in *instance, lease uint64, delay time.Duration) {
	f := &in.follower
	*f = follower{followed: lease, gen: f.gen + 1, closed: w.oracle.stamp()}
	w.plan(in, taskDial, f.gen, delay)
}

func (w followers) unfollow(in *instance) {
	in.followed, in.streaming = 0, false
	in.follower.gen++
}

// reset ends the stream of an instance's follower. The follower dials again after the duration
// delay.
func (w followers) reset(in *instance, delay time.Duration) {
	f := &in.follower
	f.streaming, f.failures, f.lastSent, f.closed = false, 0, 0, w.oracle.stamp()
	f.gen++
	if f.followed != 0 {
		w.plan(in, taskDial, f.gen, delay)
	}
}

func (w followers) followerTask(in *instance, kind taskKind) {
	f := &in.follower
	switch kind {
	case taskDial:
		w.dial(in)
	case taskDialFail:
		w.observe(in, mesh.Event{Kind: mesh.EventPath, Reason: "time-out"}, f.dialedAt)
		w.redial(in)
	case taskSilence:
		limit := missedBeats * w.beatEvery()
		limit += w.coord.forgives(f.heardAt, limit)
		if stock(f.source) {
			limit = w.beatEvery() + w.patient(checkTimeout)
		}
		if left := f.heardAt + limit - w.now; left > 0 {
			w.plan(in, taskSilence, f.gen, left)
			return
		}
		w.observe(in, mesh.Event{Kind: mesh.EventPath, Reason: "silent"}, f.heardAt)
		w.reset(in, 0)
	}
}

// patient returns the time-out that a follower uses in place of the usual time-out d. It is
// longer if the coordinator itself has problems, which the method Score of the mesh counts. It
// is at most half of UnreachableAfter.
func (w followers) patient(d time.Duration) time.Duration {
	return min(d*time.Duration(1+w.coord.mesh().Score()), w.setup.Policy.UnreachableAfter/2)
}

func (w followers) dial(in *instance) {
	f := &in.follower
	f.dialedAt = w.now
	switch {
	case in.deaf():
		w.plan(in, taskDialFail, f.gen, w.patient(dialTimeout))
	case !in.listened():
		w.observe(in, mesh.Event{Kind: mesh.EventRefused, Reason: "refused"}, 0)
		w.redial(in)
	default:
		if ev, turned := in.turnedAway(); turned {
			w.observe(in, ev, 0)
			w.redial(in)
			return
		}
		w.open(in)
	}
}

// open opens a stream to the process that listens at the address of the instance, or starts
// to poll this process.
func (w followers) open(in *instance) {
	f := &in.follower
	w.sessions++
	f.streaming, f.to, f.failures, f.heardAt, f.behind = true, in.listener, 0, w.now, false
	f.source, f.session = in.voice().source, w.sessions
	w.plan(in, taskBeat, f.gen, w.beatEvery()/2+in.noise(w.beatEvery()))
	w.plan(in, taskSilence, f.gen, w.beatEvery())
	w.sendStatus(in)
}

func (w followers) redial(in *instance) {
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

// beat makes the process that listens at the address send a heartbeat on its stream, or the
// answer to a poll.
func (w followers) beat(in *instance) {
	f := &in.follower
	if !f.streaming {
		return
	}
	switch {
	case in.deaf():
	case f.to != in.listener:
		w.reset(in, 0) // another process listens now, and this process does not have the stream
		return
	case f.behind, f.source == health.SourcePoll:
		w.sendStatus(in)
	default:
		w.sendMessage(in, in.answer(mesh.EventAlive))
	}
	w.plan(in, taskBeat, f.gen, w.beatEvery())
}

// sendStatus makes the process that listens at the address send its status on the stream.
func (w followers) sendStatus(in *instance) {
	if in.behind = in.deaf(); !in.behind {
		w.sendMessage(in, in.answer(mesh.EventReport))
	}
}

// sendMessage sends ev to the follower of the instance in. The sender is the process that
// listens at the address of the instance.
// The simulated network may drop or delay the event.
func (w followers) sendMessage(in *instance, ev mesh.Event) {
	f := &in.follower
	if in.drop > 0 {
		in.drop--
		w.noteReach(in)
		if ev.Kind == mesh.EventReport { // the loss of a message breaks the stream
			w.reset(in, 100*time.Millisecond)
		}
		return
	}
	m := message{in: in, ev: ev, gen: f.gen, own: in.other == nobody}
	if in.delay == 0 && f.lastSent <= w.now {
		w.receive(in, &m)
		return
	}
	f.lastSent = max(f.lastSent, w.now+in.delay)
	w.agenda.push(task{at: f.lastSent, kind: taskArrive, in: in, msg: &m})
}

// receive passes a message to the coordinator, unless the stream that carried the message has
// ended. It always passes a message with an earlier lease: a queue in the coordinator may still
// have such a message after the stream has ended.
func (w followers) receive(in *instance, m *message) {
	f := &in.follower
	switch {
	case m.ev.Lease == f.followed && (m.gen != f.gen || !f.streaming):
		return
	case m.ev.Lease == f.followed && in.deaf():
		f.behind = true
		return
	case m.ev.Lease == f.followed:
		f.heardAt = max(w.now, w.coord.pausedUntil) // a paused follower reads the message after the pause
	}
	w.coord.deliver(*m)
}

// observe tells the coordinator about an event that the follower itself has noticed, such as a
// time-out. since is the begin of a wait without an answer; 0 means that there was no wait.
func (w followers) observe(in *instance, ev mesh.Event, since time.Duration) {
	ev.ID, ev.Lease = in.id, in.followed
	w.coord.deliver(message{in: in, ev: ev, waited: since != 0, since: since})
}

// relisten notes that another process listens at the address of the instance, or that the
// process there has lost its streams. It ends the open stream of the follower.
func (w *world) relisten(in *instance) {
	in.listener++
	if in.streaming && !in.deaf() {
		w.followers.reset(in, time.Millisecond)
	}
}

func (w *world) vacate(in *instance) {
	if in.other != nobody {
		in.other = nobody
		w.relisten(in)
	}
}
