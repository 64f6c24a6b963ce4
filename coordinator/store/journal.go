package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	// DefaultTransitions is the default of the largest number of transitions in a journal.
	DefaultTransitions = 100_000
	// MaxPage is the largest number of transitions that one call of Transitions or
	// TransitionsAfter returns.
	MaxPage = 1000
)

// ErrAhead is returned for a cursor after the end of the journal. The position in such a cursor
// comes from another store, or from a newer copy of this store.
var ErrAhead = errors.New("store: the cursor is after the end of the journal")

// JournalBound returns the largest number of transitions that a journal keeps. n is the
// configured number: 0 means DefaultTransitions, and a negative number means that the journal
// keeps no transitions.
func JournalBound(n int) int {
	if n == 0 {
		return DefaultTransitions
	}
	return max(0, n)
}

// Transition is one entry of the journal: a change of a published status, a gap (Lost > 0)
// or an action on an override (Action is not ActionNone).
type Transition struct {
	// Seq is the number of the transition. The store sets it: the first transition has 1, and
	// each further one has 1 more. The store never uses a Seq twice.
	Seq uint64 `json:"-"`
	// ID is the name whose status has changed. For an action on an override, ID is the instance
	// or the service to which the override applies. It is zero if Scope is a selector.
	ID           health.ID     `json:"-"`
	From         health.Status `json:"from"`
	To           health.Status `json:"to"` // new status; for an action on an override, the forced status
	At           time.Time     `json:"at"`
	Cause        health.Cause  `json:"cause"`
	Reason       string        `json:"reason,omitempty"`
	FirstFailure time.Time     `json:"first_failure,omitzero"`
	Removed      bool          `json:"removed,omitempty"`
	// Lost is the number of transitions that were dropped at this place in the journal, before
	// they were stored. It is greater than 0 only for a gap.
	Lost   uint64 `json:"lost,omitempty"`
	Action Action `json:"action,omitempty"`
	// Scope is the text of the scope of an override, if the transition is an action on this
	// override. It is empty for other transitions.
	Scope string `json:"scope,omitempty"`
	// By is the author of the action on an override, or the author of the override that has
	// caused the change of the status. It may be empty.
	By string `json:"by,omitempty"`
}

// Action says what a person or the coordinator has done with an override.
type Action uint8

// The actions. Their numbers equal the numbers of meshhealth.v1.Action.
const (
	ActionNone Action = iota
	ActionSet
	ActionCleared
	ActionEnded // the override has expired, or its instance was removed a day ago
)

// Query selects the transitions of one page of the journal. The order of a page is the order of the
// numbers (Seq), which is the order in which the transitions were stored. The times of a page may
// decrease where the clock of the coordinator has stepped back.
type Query struct {
	// ID selects the transitions of a service and all its instances, or of one instance. The zero
	// ID selects all transitions. Every ID selects the gaps, which are transitions with Lost > 0.
	ID health.ID
	// From and To select the transitions whose time At is From or later, and before To. A zero time
	// selects all. They select a gap if a time between the transition before it and the gap itself is
	// in the range. The lost transitions were made between these two.
	From, To time.Time
	// OldestFirst is true if the page begins with the lowest Seq, and false for the highest.
	OldestFirst bool
	// Before and After select the transitions whose Seq is lower than Before and higher than After.
	// 0 selects all transitions.
	Before, After uint64
	// Limit is the largest number of transitions to return: 1 to MaxPage.
	Limit int
}

// Validate returns an error if Limit is out of range.
func (q Query) Validate() error { return checkLimit(q.Limit) }

func checkLimit(limit int) error {
	if limit < 1 || limit > MaxPage {
		return fmt.Errorf("store: Limit: is %d; allowed: 1 to %d transitions", limit, MaxPage)
	}
	return nil
}

// Matches reports whether q.ID selects the transition t. It ignores all other fields of q.
func (q Query) Matches(t *Transition) bool {
	switch {
	case t.Lost > 0, q.ID == health.ID{}:
		return true
	case q.ID.Instance == "":
		return t.ID.Service == q.ID.Service
	default:
		return t.ID == q.ID
	}
}

// Page is one page of the journal. A page may have fewer transitions than Query.Limit, or none,
// although it is not the last one: a call examines at most MaxExamined transitions.
type Page struct {
	Transitions []Transition
	// Next is the value of Query.Before that selects the next page. If Query.OldestFirst is true,
	// it is the value of Query.After. It is 0 if this is the last page.
	Next uint64
}

// Cursor is a place in the journal from which a consumer reads forward, toward newer
// transitions.
type Cursor struct {
	// After is the Seq of the last transition that the consumer has processed. 0 means that the
	// consumer reads from the oldest transition.
	After uint64
	// Limit is the largest number of transitions to return: 1 to MaxPage.
	Limit int
}

// Validate returns an error if Limit is out of range, or if After is larger than lastSeq, the
// Seq of the newest transition. The second error is ErrAhead.
func (c Cursor) Validate(lastSeq uint64) error {
	if c.After > lastSeq {
		return fmt.Errorf("%w: After is %d; allowed: 0 to %d", ErrAhead, c.After, lastSeq)
	}
	return checkLimit(c.Limit)
}

// Segment is a part of the journal, oldest transition first. If it has fewer transitions than
// Cursor.Limit, the journal has no further transitions.
type Segment struct {
	Transitions []Transition
	// Next is the value of Cursor.After for the next call. A consumer that has processed the
	// segment stores it as its position.
	Next uint64
	// Dropped is the number of transitions between the cursor and the segment. The journal has
	// dropped these transitions because it was full.
	Dropped uint64
}

// NewSegment returns a segment that consists of the given transitions. These are the first
// transitions after the cursor c that the journal still has. lastSeq is the Seq of the newest
// transition in the journal.
func NewSegment(c Cursor, transitions []Transition, lastSeq uint64) Segment {
	if len(transitions) == 0 {
		return Segment{Next: lastSeq, Dropped: lastSeq - c.After}
	}
	return Segment{
		Transitions: transitions,
		Next:        transitions[len(transitions)-1].Seq,
		Dropped:     transitions[0].Seq - 1 - c.After,
	}
}
