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
	// MaxPage is the largest number of transitions that one call returns.
	MaxPage = 1000
)

// ErrAhead is returned for a cursor after the end of the journal. The position in such a cursor
// comes from another store, or from a newer copy of this store.
var ErrAhead = errors.New("store: the cursor is after the end of the journal")

// JournalBound returns the largest number of transitions that a journal keeps if n is configured.
// n 0 means DefaultTransitions; a negative n means none.
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
	// ID is the name whose status has changed. For an action it is the instance or the service
	// of the scope, and zero if the scope is a selector.
	ID           health.ID     `json:"-"`
	From         health.Status `json:"from"`
	To           health.Status `json:"to"` // new status; for an action, the forced status
	At           time.Time     `json:"at"`
	Cause        health.Cause  `json:"cause"`
	Reason       string        `json:"reason,omitempty"`
	FirstFailure time.Time     `json:"first_failure,omitzero"`
	Removed      bool          `json:"removed,omitempty"`
	// Lost is the number of transitions that were dropped at this place in the journal, before
	// they were stored. It is greater than 0 only for a gap.
	Lost   uint64 `json:"lost,omitempty"`
	Action Action `json:"action,omitempty"`
	// Scope is the text of the scope of an action; empty for other transitions.
	Scope string `json:"scope,omitempty"`
	// By is the author of the action, or of the override that has caused the change.
	By string `json:"by,omitempty"`
}

// Action says what a person or the coordinator has done with an override.
type Action uint8

// The actions. Their numbers equal the numbers of meshhealth.v1.Action.
const (
	ActionNone Action = iota
	ActionSet
	ActionCleared
	ActionEnded // the override has expired, or its instance was gone for a day
)

// Query selects the transitions of one page of the journal, newest first.
type Query struct {
	// ID selects the transitions of a service with all its instances, or those of one instance.
	// Zero selects all transitions. Every query selects the gaps too.
	ID health.ID
	// Before selects the transitions whose Seq is lower than Before; 0 selects all.
	Before uint64
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

// Matches reports whether the ID of the query selects t.
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

// Page is one page of the journal, newest first.
type Page struct {
	Transitions []Transition
	// Next is the value of Query.Before for the next page; 0 if this is the last page.
	Next uint64
}

// Cursor is a place in the journal at which a consumer reads forward.
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

// Segment is a part of the journal, oldest first. If it has fewer transitions than the Limit
// of the cursor, it ends at the end of the journal.
type Segment struct {
	Transitions []Transition
	// Next is the value of Cursor.After for the next call. A consumer that has processed the
	// segment stores it as its position.
	Next uint64
	// Dropped is the number of transitions between the cursor and the segment that the journal
	// has dropped because it was full.
	Dropped uint64
}

// NewSegment returns the segment of transitions, which are the first ones after c that the journal
// still holds. lastSeq is the Seq of the newest transition in the journal.
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
