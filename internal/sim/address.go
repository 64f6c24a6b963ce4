package sim

import (
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

const (
	nobody       other = iota
	otherStock         // a stock server of grpc.health.v1
	otherPolled        // a server that has only Check, so the coordinator polls it
	otherTwin          // the embedded server of another instance of the same service
	otherService       // the embedded server of another service
	numOthers
)

const (
	sickNot     sickness = iota
	sickFailing          // the process answers with an error of its own
	sickGarbled          // the process answers with a message that is not valid for a health service
	sickFull             // the process answers RESOURCE_EXHAUSTED, since it has no room for new calls
)

// voice describes the process that answers at an address, and its answer.
type voice struct {
	source        health.Source
	says          health.Status
	proven, named bool
	own           bool // the instance's own process answers
}

func (in *instance) voice() voice {
	switch in.other {
	case nobody:
	case otherStock:
		return voice{source: health.SourceWatch, says: in.otherSays, named: true}
	case otherPolled:
		return voice{source: health.SourcePoll, says: in.otherSays, named: true}
	default:
		return voice{source: health.SourceMeshhealth, says: in.otherSays, named: true}
	}
	v := voice{source: in.service.Source, says: in.says, proven: in.embedded(), named: true, own: true}
	if in.stub {
		v.source = health.SourcePoll
	}
	if in.unnamed {
		v.says, v.named = health.Serving, false
	}
	return v
}

// embedded reports whether the instance's own server is the embedded server, which proves its
// answers with the process key.
func (in *instance) embedded() bool { return !stock(in.service.Source) }

// listened reports whether any process listens at the address of the instance.
func (in *instance) listened() bool { return in.up || in.other != nobody }

// answer returns the event that the coordinator receives when the listening process answers.
func (in *instance) answer(kind mesh.EventKind) mesh.Event {
	v := in.voice()
	ev := mesh.Event{Kind: kind, ID: in.id, Lease: in.followed, Proven: v.proven, Session: in.session}
	if kind == mesh.EventReport {
		ev.Report = mesh.Report{Source: in.source, Status: v.says, Named: v.named}
		if v.says != health.Serving {
			ev.Report.Reason = secret
		}
	}
	return ev
}

// turnedAway returns the event that a call causes if its answer is no status. turned is false
// if the answer is a status.
func (in *instance) turnedAway() (ev mesh.Event, turned bool) {
	unknown := mesh.Event{Kind: mesh.EventConfig, Cause: health.CauseUnknownName, Reason: "no such name"}
	switch {
	case in.misconfigured:
		return mesh.Event{Kind: mesh.EventConfig, Cause: health.CauseTLS, Reason: "whose certificate?"}, true
	case in.other >= otherTwin && !in.service.Static && in.embedded():
		return mesh.Event{Kind: mesh.EventStranger, Reason: "another process answers"}, true
	case in.other == otherService:
		return unknown, true
	case in.other != nobody:
		return ev, false
	case in.unnamed && in.named:
		return unknown, true
	}
	return in.sickAnswer()
}

func (in *instance) sickAnswer() (ev mesh.Event, turned bool) {
	switch in.sick {
	case sickFailing:
		return mesh.Event{Kind: mesh.EventFailed, Report: mesh.Report{Source: health.SourcePoll}, Reason: "Unknown: db not ok"}, true
	case sickGarbled:
		return mesh.Event{Kind: mesh.EventMalformed, Cause: health.CauseMalformed, Reason: "no trailers"}, true
	case sickFull:
		return mesh.Event{Kind: mesh.EventQuota, Reason: "no room"}, true
	}
	return ev, false
}

// otherStatus returns the status of a static instance that comes from a foreign process at
// its address.
func (in *instance) otherStatus() health.Status {
	if in.other == otherService {
		return health.Unknown
	}
	return in.otherSays
}
