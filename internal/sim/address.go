package sim

import (
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// The kinds of foreign processes that can answer at the address of an instance.
const (
	nobody       otherKind = iota
	otherStock             // the foreign process is a stock server of grpc.health.v1
	otherPolled            // the foreign process serves only Check, so the coordinator polls it
	otherTwin              // the foreign process is another instance of the same service
	otherService           // the foreign process is an instance of another service
	numOthers
)

// The wrong ways in which a process can answer health calls.
const (
	sickNot     sickness = iota
	sickFailing          // the process answers health calls with an error of its own
	sickGarbled          // the process answers health calls with an invalid message
	sickFull             // the process answers RESOURCE_EXHAUSTED, since it has no room for new calls
)

// voice describes the process that answers at the address of an instance, and its answer.
type voice struct {
	source        health.Source
	says          health.Status
	proven, named bool
	own           bool // true if the process of the instance answers, and no foreign process
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

// answer returns the event that the coordinator receives when the process that listens at
// the address of the instance answers with a status.
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

// turnedAway returns the event that the coordinator receives if a call to the instance brings
// an error or a wrong answer instead of a status. turned is false if it brings a status.
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

// otherStatus returns the status that must be published for a static instance while a
// foreign process answers at its address.
func (in *instance) otherStatus() health.Status {
	if in.other == otherService {
		return health.Unknown
	}
	return in.otherSays
}
