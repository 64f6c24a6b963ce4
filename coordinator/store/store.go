package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// ErrClosed is returned by every method of a closed store except Close.
var ErrClosed = errors.New("store: the store is closed")

// Store keeps the records of a coordinator. Its methods return the error of the context
// when the context has ended.
type Store interface {
	// Load reads all records except the transitions.
	Load(ctx context.Context) (State, error)
	// Commit stores b completely or not at all, and returns when b is durable. If Commit returns
	// an error, b may be stored or not. If b is stored, LastBatch in the result of Lookup is the
	// ID of b.
	Commit(ctx context.Context, b *Batch) error
	// Lookup reads the records of the instances in ids, and AliveAt and LastBatch. It returns
	// an override if the text of the scope equals the text of one of the ids. All records that
	// Lookup returns are durable.
	Lookup(ctx context.Context, ids []health.ID) (State, error)
	// Transitions reads one page of the journal. Its cost does not grow with the length of the
	// journal.
	Transitions(ctx context.Context, q Query) (Page, error)
	// TransitionsAfter reads the journal forward from a cursor, oldest first. It returns
	// ErrAhead for a cursor after the end of the journal.
	TransitionsAfter(ctx context.Context, c Cursor) (Segment, error)
	// Position returns the last position that was stored for a consumer, or 0 if there is none.
	Position(ctx context.Context, consumer string) (uint64, error)
	// Close releases all resources. A second call does nothing and returns nil.
	Close() error
}

// State holds the records of a store except the transitions.
type State struct {
	Registrations []Registration
	Overrides     []Override
	Statuses      []Status
	// Positions holds the position of each consumer in the journal. It is empty in the result of
	// Lookup.
	Positions []Position
	// AliveAt is the last known time at which the coordinator was running: Batch.AliveAt of the
	// last batch that has set it. It is zero if no batch has set it.
	AliveAt time.Time
	// LastBatch is the ID of the last batch that is stored. It is 0 if that batch had no ID.
	LastBatch uint64
}

// Batch is the content of one Commit. The store applies the deletions first, then the
// puts, then the transitions in their order.
type Batch struct {
	// ID is a number that no earlier batch of the writer had. If Commit returns an error, the ID
	// tells whether the batch was stored nevertheless: Lookup then returns this ID as LastBatch.
	// The writer counts up from State.LastBatch. The batch after a failed commit has a new ID too.
	// 0 means no ID.
	ID uint64

	DeleteRegistrations []health.ID // registrations to delete, together with their statuses
	DeleteOverrides     []string    // texts of the scopes whose overrides are deleted
	DeletePositions     []string    // names of the consumers whose positions are deleted
	PutRegistrations    []Registration
	PutOverrides        []Override
	PutStatuses         []Status // statuses to store; the status of an instance that is not registered is ignored
	PutPositions        []Position
	Transitions         []Transition
	AliveAt             time.Time // time at which the coordinator was running; zero: the stored time is not changed
}

// Registration is one registered instance.
type Registration struct {
	ID          health.ID         `json:"-"`
	Address     string            `json:"address"`
	HealthName  string            `json:"health_name,omitempty"` // service name that health calls ask for; empty: ID.Service
	Incarnation string            `json:"incarnation,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Zone        string            `json:"zone,omitempty"`
	Version     string            `json:"version,omitempty"`
	ServerName  string            `json:"server_name,omitempty"` // name in the certificate of the server at Address
	Static      bool              `json:"static,omitempty"`      // the instance has no lease
	Configured  bool              `json:"configured,omitempty"`  // registered by the coordinator's configuration; Static is also true
	TTL         time.Duration     `json:"ttl,omitempty"`         // duration of the lease; 0 if Static
	Judge       *Judge            `json:"judge,omitempty"`       // requested policy of the service; nil: none
	Key         []byte            `json:"key,omitempty"`         // process key, which is secret; empty: none
	Proves      bool              `json:"proves,omitempty"`      // the server at Address proves that it has Key
	Traffic     *Traffic          `json:"traffic,omitempty"`     // where the instance receives traffic; nil: at Address
	Region      string            `json:"region,omitempty"`
	Registrant  string            `json:"registrant,omitempty"` // identity that has registered the instance; empty: none
	Peer        netip.Addr        `json:"peer,omitzero"`        // address from which it called; not valid: unknown
	Proof       string            `json:"proof,omitempty"`      // name of the proof of the endpoint that came with the registration; empty: none was required
	Source      string            `json:"source,omitempty"`     // program that maintains a static registration; empty: none
	Protocol    string            `json:"protocol,omitempty"`   // name of the protocol by which the instance is followed; empty: the best one that works
	// Lease is the number of the current lease. A registration by another process gets another
	// number.
	Lease        uint64    `json:"lease"`
	RegisteredAt time.Time `json:"registered_at"`
}

// Traffic says where an instance receives traffic, and how much.
type Traffic struct {
	Address  string   `json:"address,omitempty"`   // host:port; empty: the address for health calls
	Weight   uint32   `json:"weight,omitempty"`    // share of traffic relative to other instances; 0: 1
	TLSNames []string `json:"tls_names,omitempty"` // names that the certificate of the service may have; empty: no TLS
}

// Judge is the policy that an instance requests for its service.
type Judge struct {
	Rule         string `json:"rule,omitempty"`          // name of the rule; empty: the instance requests no rule
	MinAvailable int    `json:"min_available,omitempty"` // percentage of the instances that must be routable (SERVING or DEGRADED); 0: not requested
	Optional     bool   `json:"optional,omitempty"`
	Critical     bool   `json:"critical,omitempty"`
}

// Override is a status that a person forces.
type Override struct {
	// Scope is the text of a health.Scope, and the key of this override in the store. It is not
	// parsed here, because one release may store texts that another release cannot parse.
	Scope     string        `json:"-"`
	Status    health.Status `json:"status"`
	Author    string        `json:"author"`
	Reason    string        `json:"reason"`
	SetAt     time.Time     `json:"set_at"`
	ExpiresAt time.Time     `json:"expires_at,omitzero"` // time at which the override ends; zero: it has no end
	// GoneAt is the time when the instance to which the override applies was removed. It is zero
	// while this instance is registered, and always zero if Scope is not one instance.
	GoneAt time.Time `json:"gone_at,omitzero"`
}

// ShownProof is a proof of an instance's endpoint that was found after its registration. It counts only for the
// registration with the same lease, address and registrant.
type ShownProof struct {
	Proof      string `json:"proof"` // name of the proof
	Lease      uint64 `json:"lease"`
	Address    string `json:"address"`
	Registrant string `json:"registrant,omitempty"`
}

// Status is the last published status of an instance. It is the status that the instance
// would have without an override.
type Status struct {
	ID     health.ID     `json:"-"`
	Status health.Status `json:"status"`
	Cause  health.Cause  `json:"cause"`
	Reason string        `json:"reason,omitempty"`
	Since  time.Time     `json:"since"`
	// Proven is true if the instance was routable (SERVING or DEGRADED) at least once under its
	// current registration.
	Proven bool `json:"proven,omitempty"`
	// Unheard is true if the coordinator has received no status from the instance under its
	// current registration. It is always false in records of early releases.
	Unheard bool `json:"unheard,omitempty"`
	// Named is true if the target has answered at least once for its health name (the service
	// name in health calls).
	Named bool `json:"named,omitempty"`
	// Route is the name of the health.Route that routing clients received last. Endpoint is the
	// IP address and port that they received; it is not valid if it was never known. Both outlast
	// every restart, so that a restart takes no instance out of traffic.
	Route    string         `json:"route,omitempty"`
	Endpoint netip.AddrPort `json:"endpoint,omitzero"`
	// Shown is a proof of the endpoint that a dial or a push has shown; nil: none.
	Shown *ShownProof `json:"shown,omitempty"`
}

const (
	// MaxConsumers is the largest number of consumers whose positions a store keeps.
	MaxConsumers = 64
	// MaxConsumerName is the largest length of the name of a consumer, in bytes.
	MaxConsumerName = 100
)

// Position says how far a consumer has processed the journal.
type Position struct {
	Consumer string `json:"-"`   // name of the consumer: 1 to MaxConsumerName bytes
	Seq      uint64 `json:"seq"` // Seq of the last transition that the consumer has processed; 0: no transition
}

// Validate returns an error if the length of Consumer or Seq is out of range. lastSeq is the Seq
// of the newest transition, including the transitions in the same batch.
func (p *Position) Validate(lastSeq uint64) error {
	switch {
	case len(p.Consumer) < 1 || len(p.Consumer) > MaxConsumerName:
		return fmt.Errorf("PutPositions: the name of a consumer has %d bytes; allowed: 1 to %d", len(p.Consumer), MaxConsumerName)
	case p.Seq > lastSeq:
		return fmt.Errorf("PutPositions: the position of %q is %d; allowed: 0 to %d, the end of the journal", p.Consumer, p.Seq, lastSeq)
	}
	return nil
}

// CheckConsumers returns an error if n, the number of consumers in a store, is too large.
func CheckConsumers(n int) error {
	if n > MaxConsumers {
		return fmt.Errorf("PutPositions: the batch would leave %d consumers; allowed: at most %d", n, MaxConsumers)
	}
	return nil
}
