package follow

import (
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// findingKind says what an error shows, for example that the network path has failed.
type findingKind uint8

const (
	noEvidence    findingKind = iota // the error shows nothing about the target; the next attempt to connect shows more
	ownFault                         // the coordinator lacks a resource (finding.reason names it), or has ended the call on purpose (finding.reason is empty)
	pathFault                        // the network path to the target has failed
	connRefused                      // the host of the target refused the connection, because no process listens
	misconfigured                    // the configuration of the coordinator or of the target is wrong
	unimplemented                    // the target does not implement the gRPC service
	unknownName                      // the target does not know the name in the health request
	notDialled                       // too many other dials waited, so the coordinator has not dialled
	targetFailed                     // the target itself answers that it has failed
	noQuota                          // the target allows no further stream, or refuses the call because of a quota
	malformed                        // the answer of the target is not valid
	replyCut                         // the reply ended before it was complete; if this repeats, the network path is at fault
)

// finding is the conclusion that the coordinator draws from the error of a call, a stream or an
// attempt to connect.
type finding struct {
	kind   findingKind
	cause  health.Cause // cause in the status that the instance gets because of the error; often empty
	reason string
	// waited is true if a wait for the target ended without an answer. In this case the
	// coordinator itself may be at fault: it may have read the answer too late.
	waited bool
}

// eventKind returns which kind of evidence is reported to the registry, or 0 if nothing is
// reported.
func (f finding) eventKind() mesh.EventKind {
	switch f.kind {
	case ownFault:
		if f.reason == "" { // the coordinator has ended the call on purpose
			return 0
		}
		return mesh.EventOwnFault
	case notDialled:
		return mesh.EventNotAsked
	case pathFault, replyCut:
		return mesh.EventPath
	case connRefused:
		return mesh.EventRefused
	case misconfigured, unimplemented, unknownName:
		return mesh.EventConfig
	case targetFailed:
		return mesh.EventFailed
	case malformed:
		return mesh.EventMalformed
	case noQuota:
		return mesh.EventQuota
	}
	return 0
}

// unknownNameFinding returns the conclusion that the target knows none of the names in the
// health requests.
func unknownNameFinding(names []string) finding {
	reason := "the target does not know the health name " + names[0]
	if len(names) > 1 {
		reason += ` or ""`
	}
	return finding{kind: unknownName, cause: health.CauseUnknownName, reason: wire.Clean(reason)}
}

// ended says why the follower stopped using a health protocol (a Watch, or polls by Check) on a
// connection.
type ended struct {
	err      error
	found    finding
	answered bool      // the target had given a valid answer before the end
	since    time.Time // time of the last answer; if no answer has come, time at which the wait for an answer began
}

// evidence returns what is reported to the registry if no other protocol is left to try.
func (e *ended) evidence() finding {
	if e.found.kind == noEvidence {
		return finding{kind: misconfigured, cause: health.CauseUnimplemented, reason: "its Watch ended without a message"}
	}
	return e.found
}
