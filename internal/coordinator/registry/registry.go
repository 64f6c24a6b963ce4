package registry

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
)

// SlowCommit is the longest time that a commit may take. If a commit takes longer, the
// coordinator publishes that it is DEGRADED.
const SlowCommit = core.SlowCommit

// Config has the settings of a registry. Store is required.
type Config struct {
	Store  store.Store
	Policy health.MeshPolicy
	// Epoch is a random number that identifies this start of the coordinator.
	Epoch uint64
	// StoreTrust is the largest age of the last commit at which the stored statuses are
	// trusted after a start. 0 means DefaultStoreTrust.
	StoreTrust time.Duration
	// MaxInstances is the largest number of registered instances. 0 means
	// DefaultMaxInstances.
	MaxInstances int
	// QueueBytes is the largest total size, in bytes, of the transitions that wait for the
	// store. 0 means DefaultQueueBytes.
	QueueBytes int
	// Published is called with the changes of each publication, after the readers of the feed
	// were woken. It must not block, and must not keep the slice; nil means no call.
	Published func([]health.Change)
	// Logger receives one record for each transition; nil means no log.
	Logger *slog.Logger
	// NewLease returns the number of a new lease. No two calls may return the same number. If
	// NewLease is nil, the numbers are random.
	NewLease func() uint64
}

// The defaults of Config.
const (
	DefaultStoreTrust   = 5 * time.Minute
	DefaultMaxInstances = 50_000
	DefaultQueueBytes   = 4 << 20
)

func (c *Config) setDefaults() {
	if c.StoreTrust == 0 {
		c.StoreTrust = DefaultStoreTrust
	}
	if c.MaxInstances == 0 {
		c.MaxInstances = DefaultMaxInstances
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = DefaultQueueBytes
	}
	if c.Published == nil {
		c.Published = func([]health.Change) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.NewLease == nil {
		c.NewLease = randomLease
	}
}

func (c *Config) core() core.Config {
	return core.Config{
		Policy: c.Policy, Epoch: c.Epoch, StoreTrust: c.StoreTrust, MaxInstances: c.MaxInstances,
		QueueBytes: c.QueueBytes, NewLease: c.NewLease,
	}
}

func randomLease() uint64 {
	var b [8]byte
	// Since Go 1.24 rand.Read never returns an error: it ends the process instead.
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// Registry keeps the registrations of a mesh, and the status of every instance.
type Registry struct {
	cfg   Config
	owner owner
}

// New returns a registry that has restored the content of the store and published it. If
// ctx ends while New reads the store, New fails.
func New(ctx context.Context, cfg Config) (*Registry, error) {
	if cfg.Store == nil {
		return nil, errors.New("registry: Store: is nil; a store is required")
	}
	if err := cfg.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("registry: Policy: %w", err)
	}
	cfg.setDefaults()
	r := &Registry{cfg: cfg}
	r.owner = owner{
		core: core.New(cfg.core(), time.Now()), feed: feed.New(cfg.Epoch, 0), log: cfg.Logger, published: cfg.Published,
		writer: newStoreWriter(cfg.Store, cfg.Logger), inbox: make(chan core.Input, inboxSize),
		closed: make(chan struct{}), ended: make(chan struct{}),
	}
	state, err := cfg.Store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("registry: loading from the store: %w", err)
	}
	changes, skipped := r.owner.core.Load(time.Now(), &state)
	for _, err := range skipped {
		cfg.Logger.Error("a stored override has no effect; set it again", "error", err)
	}
	r.owner.feed.Publish(changes)
	return r, nil
}

// Run runs the registry until ctx ends. After that it commits the waiting records. If the store
// takes longer than StopWithin for this, Run returns ErrHangs.
func (r *Registry) Run(ctx context.Context) error {
	go r.owner.writer.run(context.WithoutCancel(ctx))
	r.owner.run(ctx)
	err := r.owner.stop()
	close(r.owner.writer.operations)
	if err == nil {
		<-r.owner.writer.done
	}
	return err
}

// Feed returns the feed to which the registry publishes.
func (r *Registry) Feed() *feed.Feed { return r.owner.feed }

// Queue returns the number of transitions that wait for the store. lost is the number of
// transitions that were dropped since the start, because the queue was full.
func (r *Registry) Queue() (waiting int, lost uint64) {
	return int(r.owner.waiting.Load()), r.owner.lost.Load()
}

// Late returns how often the owner, the goroutine that owns the mesh, ran later than planned since
// the start. last is the time when this happened last. Both results are zero if it never happened.
func (r *Registry) Late() (times uint64, last time.Time) {
	if l := r.owner.late.Load(); l != nil {
		return l.times, l.last
	}
	return 0, time.Time{}
}

// CommitAge returns the age of the store operation in progress. It returns 0 if no operation is in
// progress, or if the age is at most SlowCommit.
func (r *Registry) CommitAge() time.Duration { return r.owner.writer.slowFor(time.Now()) }

// Stats is the state of the coordinator itself.
type Stats = core.Stats

// Stats returns the state of the coordinator after the owner's last step. It never
// blocks.
func (r *Registry) Stats() Stats {
	if s := r.owner.stats.Load(); s != nil {
		return *s
	}
	return Stats{}
}

// Score returns the health score of the coordinator, from 0 (good) to 7 (bad). It never
// blocks.
func (r *Registry) Score() int { return r.Stats().Score }
