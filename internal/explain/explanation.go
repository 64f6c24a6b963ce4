package explain

import (
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// The largest numbers of items in one explanation.
const (
	maxEvidence  = 50
	maxMembers   = 20 // members of an aggregate that are evidence
	maxChain     = 16
	maxNext      = 50
	maxSentences = 50
	maxNamed     = 5 // names in one sentence
)

// Input has the data that Explain needs in addition to the state to explain.
type Input struct {
	// Now is the present time, from which all ages are computed.
	Now time.Time
	// Policy returns the configured policy of a service. nil means that no policy is configured.
	Policy func(service string) health.ServicePolicy
	// Members has the states of the instances of a service, or of the services of a zone or of
	// the mesh. It is empty if the name is an instance. It has only states that the caller may see.
	Members []health.State
	// Find returns the published state of a name. It returns false if the name is unknown, or if the
	// caller may not see it.
	Find func(health.ID) (health.State, bool)
	// May reports whether the caller may see a name. nil means that the caller may see all names.
	May func(health.ID) bool
	// Worst returns that member of a service which is worst, of those that the caller may see. nil
	// means that members are not known.
	Worst func(service string) (health.State, bool)
	// Inspection is what the mesh knows about the name. It is nil if the mesh was not asked.
	Inspection *mesh.Inspection
}

// Explanation explains the status of one name.
type Explanation struct {
	// Layers has the layers that compute the status of an instance, in their order. It is empty for
	// an aggregate, and without an inspection.
	Layers []Layer
	// Evidence is what the status is based on, the most important first.
	Evidence []Evidence
	// Chain is the way from the root of the failure to the name. It is empty if the name is not in
	// trouble, or if an override forces its status.
	Chain []Link
	// Next has the ways in which the status may change. Those with a time come first, the earliest
	// first.
	Next []Change
	// Sentences says the same in words, the most important first.
	Sentences []string
}

// Layer is one step in the computation of the status of an instance.
type Layer struct {
	// Name is reported, reach, guard, damping or override.
	Name string
	// In is the status that the layer gets. The other fields are what it passes on.
	In, Out     health.Status
	Cause       health.Cause
	Unconfirmed bool
	// Since is the time since which the layer is in its present state. It is zero if the layer has
	// no effect.
	Since time.Time
	// Detail is the state of the layer in words.
	Detail string
}

// Evidence is one fact on which a status is based.
type Evidence struct {
	// Source is who or what gave the evidence: `check NAME`, `reported`, `reach`, `lease`, `route`,
	// `rule`, `dependency NAME`, or the name of a member.
	Source string
	// Status and Cause are what the evidence stands for. Status is Unknown and Cause is CauseNone if
	// it says nothing about the health.
	Status health.Status
	Cause  health.Cause
	// Text is the fact in words, without a point at its end.
	Text string
	// At is the time at which the evidence came, or zero.
	At time.Time
	// Count is how often the evidence came in a row, or 0.
	Count int

	// member is true for the member of an aggregate. Other sentences name it.
	member bool
}

// Edge says how a link of a chain is connected with the link before it.
type Edge uint8

// The edges.
const (
	EdgeNone   Edge = iota // there is no link before it, or the names between them are not shown
	EdgeHard               // it needs the link before it
	EdgeSoft               // it uses the link before it, and also works without it
	EdgeMember             // one of both is a member of the other
)

// Link is one name on the way from the root of a failure.
type Link struct {
	ID     health.ID
	Status health.Status
	Cause  health.Cause
	// Reason says why in words. It may be empty.
	Reason              string
	Since, FirstFailure time.Time
	Edge                Edge
}

// Change is one way in which a status may change.
type Change struct {
	To    health.Status
	Cause health.Cause
	// Unconfirmed reports that the status after the change is unconfirmed.
	Unconfirmed bool
	// Removed reports that the name is removed.
	Removed bool
	// At is the earliest time of the change. It is zero if it depends on what happens.
	At time.Time
	// If says what must happen before. It is empty if only time must pass.
	If string
	// Unless says what prevents the change. It is empty if nothing does.
	Unless string
}

// dependency begins the source of evidence about a dependency.
const dependency = "dependency "

func isCheck(e *Evidence) bool { return !e.member && strings.HasPrefix(e.Source, "check ") }
