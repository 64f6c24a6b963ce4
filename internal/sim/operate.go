package sim

import (
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// playStep plays one step of the script. It accepts every step in every state of the world,
// since Minimise removes arbitrary steps.
func (w *world) playStep(s *Step) {
	switch s.Op {
	case OpPart, OpJoin:
		w.playZoneStep(s)
	case OpPause, OpCrash, OpStall, OpWall:
		w.playCoordinatorStep(s)
	case OpExpect:
		w.oracle.expect(s.Who, s.N)
	default:
		if in := w.named[s.Who]; in != nil {
			w.playInstanceStep(in, s)
		}
	}
}

func (w *world) playCoordinatorStep(s *Step) {
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

func (w *world) playInstanceStep(in *instance, s *Step) {
	switch s.Op {
	case OpAdd:
		w.launch(in)
	case OpKill:
		w.end(in)
	case OpStop:
		w.say(in, health.Draining)
		w.plan(in, taskGone, in.process.gen, s.For)
	case OpSay:
		if in.other != nobody {
			w.sayOther(in, s.Status)
		}
		w.say(in, s.Status)
	case OpOverride:
		o := &health.Override{Status: s.Status, Reason: secret, SetAt: w.coord.clock.at(w.now).Round(0)}
		if s.For > 0 {
			o.ExpiresAt = o.SetAt.Add(s.For)
		}
		w.coord.call(overrideCall(in, o))
	case OpClear:
		w.coord.call(overrideCall(in, nil))
	case OpRemove:
		w.remove(in)
	case OpTake, OpLeave, OpFail, OpGarble, OpFill, OpForget, OpName, OpStub:
		w.playAddressStep(in, s)
	default:
		w.playPathStep(in, s)
	}
}

func (w *world) playPathStep(in *instance, s *Step) {
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
			w.followers.reset(in, time.Millisecond)
		}
	}
	w.noteReach(in)
}

func (w *world) heal(in *instance) {
	in.cut, in.isolated, in.misconfigured, in.drop, in.delay = false, false, false, 0, 0
	in.sick, in.stub = sickNot, false
	w.name(in)
	if in.up {
		w.vacate(in)
	}
	w.noteReach(in)
	if in.streaming && in.behind && in.to == in.listener && in.source != health.SourcePoll {
		w.followers.sendStatus(in) // the process sends the status that the network did not deliver before
	}
}

// remove deregisters an instance as an administrator does: with the published lease, not with
// the lease that the process knows.
func (w *world) remove(in *instance) {
	lease := in.lease
	if r := w.oracle.records[in.id]; r != nil && w.coord.up {
		lease = r.lease
	}
	if w.coord.up && w.now >= w.coord.stalledUntil {
		w.coord.call(deregisterCall(in, lease))
	}
}

// playZoneStep isolates about half of the instances in a zone, or heals all instances there.
func (w *world) playZoneStep(s *Step) {
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
	there = slices.DeleteFunc(there, func(in *instance) bool { return !in.isWell() || w.oracle.records[in.id] == nil })
	salt := mix(uint64(s.At))
	slices.SortFunc(there, func(a, b *instance) int {
		if mix(a.key^salt) < mix(b.key^salt) {
			return -1
		}
		return 1
	})
	for _, in := range there[:min(len(there), max(0, len(there)/2+s.N))] {
		in.isolated = true
		w.noteReach(in)
	}
}

// playAddressStep changes which process listens at an address, or how this process answers.
func (w *world) playAddressStep(in *instance, s *Step) {
	switch s.Op {
	case OpTake:
		if in.up && !in.service.Static && !in.embedded() {
			return // no foreign process, since a follower cannot distinguish two stock servers while the client renews the lease
		}
		in.other, in.otherSays = otherKind(1+s.N%int(numOthers-1)), health.Serving
		w.relisten(in)
	case OpLeave:
		w.vacate(in)
	case OpFail:
		w.sicken(in, sickFailing, true)
	case OpGarble:
		w.sicken(in, sickGarbled, true)
	case OpFill:
		w.sicken(in, sickFull, s.N != 0 || in.source == health.SourcePoll)
	case OpForget, OpStub:
		if s.Op == OpStub {
			in.stub = true
		} else {
			in.unnamed = !in.embedded()
		}
		w.relisten(in)
	case OpName:
		w.name(in)
	}
	in.changed = w.oracle.stamp()
	w.noteReach(in)
}

func (w *world) name(in *instance) {
	if in.unnamed {
		in.unnamed = false
		w.relisten(in)
	}
}

// sicken makes the process of an instance answer new calls wrongly, in the way that kind
// selects. If breaks is true, sicken also ends the open stream.
func (w *world) sicken(in *instance, kind sickness, breaks bool) {
	if !in.up {
		return
	}
	in.sick = kind
	if breaks && in.other == nobody {
		w.relisten(in)
	}
}

// sayOther makes the foreign process at the address of an instance report the status s.
func (w *world) sayOther(in *instance, s health.Status) {
	if in.other < otherTwin && s != health.Serving {
		s = health.NotServing
	}
	in.otherSays = s
	if in.streaming && in.source != health.SourcePoll {
		w.followers.sendStatus(in)
	}
}
