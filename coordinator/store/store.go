package store

import (
	"context"
	"errors"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// ErrClosed is returned by every method of a store that was closed.
var ErrClosed = errors.New("store: closed")

// Store keeps a coordinator's records.
type Store interface {
	// Load reads everything but the transitions.
	Load(ctx context.Context) (State, error)
	// Commit applies b, all or nothing, and returns when it is durable. After
	// an error the batch is in an unknown state: read back with Lookup.
	Commit(ctx context.Context, b *Batch) error
	// Lookup reads back the records of these instances, and with them how far
	// the store has got (AliveAt). What it returns is durable.
	Lookup(ctx context.Context, ids []health.ID) (State, error)
	// Transitions reads the journal, newest first.
	Transitions(ctx context.Context, q Query) (Page, error)
	// Close frees everything. It may be called twice.
	Close() error
}

// State is what a store holds beside the journal.
type State struct {
	Registrations []Registration
	Overrides     []Override
	Statuses      []Status
	// AliveAt is the last time a coordinator said it was alive; zero if never.
	AliveAt time.Time
}

// Batch is what one Commit applies: deletions first, then puts, then the
// transitions in their order.
type Batch struct {
	DeleteRegistrations []health.ID // with status and override, if that was for it alone
	DeleteOverrides     []health.ID
	PutRegistrations    []Registration
	PutOverrides        []Override
	PutStatuses         []Status // of unknown registrations: ignored
	Transitions         []Transition
	AliveAt             time.Time // zero: leave as it is
}

// Registration is one registered instance.
type Registration struct {
	ID           health.ID         `json:"-"`
	Address      string            `json:"address"`
	HealthName   string            `json:"health_name,omitempty"`
	Incarnation  string            `json:"incarnation,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Zone         string            `json:"zone,omitempty"`
	Version      string            `json:"version,omitempty"`
	ServerName   string            `json:"server_name,omitempty"`
	Static       bool              `json:"static,omitempty"`
	Configured   bool              `json:"configured,omitempty"` // static, by the coordinator's configuration
	TTL          time.Duration     `json:"ttl,omitempty"`        // of a leased one
	Judge        *Judge            `json:"judge,omitempty"`
	Lease        uint64            `json:"lease"`
	RegisteredAt time.Time         `json:"registered_at"`
}

// Judge is how an instance wants its service to be judged.
type Judge struct {
	Rule         string `json:"rule,omitempty"`
	MinAvailable int    `json:"min_available,omitempty"`
	Optional     bool   `json:"optional,omitempty"`
}

// Override is a status forced by hand.
type Override struct {
	ID        health.ID     `json:"-"` // the key of its scope
	Status    health.Status `json:"status"`
	Author    string        `json:"author"`
	Reason    string        `json:"reason"`
	SetAt     time.Time     `json:"set_at"`
	ExpiresAt time.Time     `json:"expires_at,omitzero"` // zero: never
}

// Status is the last published status of an instance, before its override.
type Status struct {
	ID     health.ID     `json:"-"`
	Status health.Status `json:"status"`
	Cause  health.Cause  `json:"cause"`
	Reason string        `json:"reason,omitempty"`
	Since  time.Time     `json:"since"`
	// Proven: it was routable at least once under its present registration.
	Proven bool `json:"proven,omitempty"`
}

// Transition is one change of a published status, or with Lost > 0 the place
// where that many could not be kept.
type Transition struct {
	Seq          uint64        `json:"-"` // given by the store, rising
	ID           health.ID     `json:"-"`
	From         health.Status `json:"from"`
	To           health.Status `json:"to"`
	At           time.Time     `json:"at"`
	Cause        health.Cause  `json:"cause"`
	Reason       string        `json:"reason,omitempty"`
	FirstFailure time.Time     `json:"first_failure,omitzero"`
	Removed      bool          `json:"removed,omitempty"`
	Lost         uint64        `json:"lost,omitempty"`
	// By is who has forced the status, or with an Action who has done that: then
	// ID is the key of a scope, and To what was forced.
	Action Action `json:"action,omitempty"`
	By     string `json:"by,omitempty"`
}

// Action is what was done to an override.
type Action uint8

// The actions. Their numbers are those of meshhealth.v1.Action.
const (
	ActionNone    Action = iota
	ActionSet            // it was set
	ActionCleared        // it was cleared
	ActionEnded          // its time was over
)

// Query asks for one page of the journal.
type Query struct {
	// ID: a service with all its instances, one instance, or zero for all.
	// Gap records (Lost > 0) match every query.
	ID health.ID
	// Before: only transitions with a lower Seq; 0 means from the newest.
	Before uint64
	// Limit is the most that is returned: 1 to 1000.
	Limit int
}

// Matches reports whether t belongs to the query's name.
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
	// Next is the Before of the next page; 0 if there is none.
	Next uint64
}
