package mesh

import "github.com/meshhealth/meshhealth/health"

// notes has the moments at which the evidence about an instance came, and since when its layers are
// in their present states. Only Inspect reads the notes: no layer decides by them.
type notes struct {
	reported moment // last status that came from the instance, also if it does not count
	answered moment // last valid answer
	fault    faultNote

	status        health.Status // status that the report layer had at the last call of noteLayers
	statusSince   moment
	reach         reachState // state of the reach layer at the last call of noteLayers
	reachSince    moment
	notAsked      bool // reachLayer.notAsked at the last call of noteLayers
	notAskedSince moment
	held          bool // guardLayer.held at the last call of noteLayers
	heldSince     moment
}

// faultNote describes the last faults of one kind. It is empty after a valid answer.
type faultNote struct {
	kind        EventKind
	cause       health.Cause // cause in the event; CauseNone if the kind says it
	count       int          // number of faults of this kind and cause in a row
	first, last moment
	reason      string
}

// noteEvent notes when evidence came. found is what the reach layer has concluded from ev.
func (n *notes) noteEvent(now moment, ev *Event, found finding) {
	if found == foundAnswer {
		n.answered, n.fault = now, faultNote{}
	}
	switch ev.Kind {
	case EventReport:
		n.reported = now
	case EventRefused, EventFailed, EventMalformed, EventQuota, EventPath, EventConfig, EventStranger, EventOwnFault:
		if n.fault.kind != ev.Kind || n.fault.cause != ev.Cause {
			n.fault = faultNote{kind: ev.Kind, cause: ev.Cause, first: now}
		}
		n.fault.count++
		n.fault.last, n.fault.reason = now, ev.Reason
	}
}

// noteLayers notes which layers have changed their state.
func (n *notes) noteLayers(now moment, in *instance) {
	if n.statusSince == 0 || n.status != in.report.status {
		n.status, n.statusSince = in.report.status, now
	}
	if n.reachSince == 0 || n.reach != in.reach.state {
		n.reach, n.reachSince = in.reach.state, now
	}
	if n.notAsked != in.reach.notAsked {
		n.notAsked, n.notAskedSince = in.reach.notAsked, now
	}
	if n.held != in.guard.held {
		n.held, n.heldSince = in.guard.held, now
	}
}
