package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// Config says how a registry works. Store is required.
type Config struct {
	Store  store.Store
	Policy health.MeshPolicy
	// Epoch is the random number of this start.
	Epoch uint64
	// StoreTrust is how old stored statuses may be to be kept; 0 means 5 min.
	StoreTrust time.Duration
	// MaxInstances bounds what may be registered; 0 means 50,000.
	MaxInstances int
	// QueueBytes bounds the transitions that wait for the store; 0 means 4 MiB.
	QueueBytes int
	// Logger gets one line per transition; nil means none.
	Logger *slog.Logger
	// NewLease returns a random lease; nil means from crypto/rand.
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
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.NewLease == nil {
		c.NewLease = randomLease
	}
}

// Registry is the door to the mesh.
type Registry struct {
	cfg    Config
	feed   *feed.Feed
	owner  owner
	scribe scribe
}

// inboxSize is how much evidence may wait before followers do.
const inboxSize = 4096

// New loads what the store knows.
func New(ctx context.Context, cfg Config) (*Registry, error) {
	if cfg.Store == nil {
		return nil, errors.New("registry: Store: is nil; a store is required")
	}
	if err := cfg.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("registry: Policy: %w", err)
	}
	cfg.setDefaults()
	r := &Registry{cfg: cfg, feed: feed.New(cfg.Epoch, 0)}
	r.owner = owner{
		mesh: health.NewMesh(cfg.Policy, cfg.Epoch, time.Now()), feed: r.feed, log: cfg.Logger,
		inbox: make(chan message, inboxSize), stopped: make(chan struct{}),
		store: storeFine,
	}
	r.scribe.init(&cfg, r.owner.inbox, r.owner.stopped)
	r.owner.record, r.owner.ended = r.scribe.queue.record, r.scribe.queue.end
	state, err := cfg.Store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("registry: loading from the store: %w", err)
	}
	r.restore(&state)
	return r, nil
}

// Feed returns what the registry publishes to.
func (r *Registry) Feed() *feed.Feed { return r.feed }

// Queue returns how many transitions wait for the store, and how many it has
// lost since the start.
func (r *Registry) Queue() (waiting int, lost uint64) { return r.scribe.queue.waiting() }

// Late returns how often the owner was late since the start, and when it last
// was; zero if never.
func (r *Registry) Late() (times uint64, last time.Time) {
	if l := r.owner.late.Load(); l != nil {
		return l.times, l.last
	}
	return 0, time.Time{}
}

// Glance is what the owner thinks of itself, as of its last wake.
type Glance struct {
	// Score is how badly we are ourselves, from 0 (well) to 7: see
	// health.Mesh.Score.
	Score int
	// Guards are the mass-failure guards that are tripped.
	Guards []health.Guard
	// Overrides is how many are set.
	Overrides int
	// StoreError is why the store takes no records; empty if it does.
	StoreError string
}

func (g *Glance) same(other *Glance) bool {
	return g.Score == other.Score && g.Overrides == other.Overrides && g.StoreError == other.StoreError &&
		slices.Equal(g.Guards, other.Guards)
}

// Glance returns what the owner thought of itself at its last wake. It waits for
// nobody.
func (r *Registry) Glance() Glance {
	if g := r.owner.glance.Load(); g != nil {
		return *g
	}
	return Glance{}
}

// Score is Glance().Score, for who asks often.
func (r *Registry) Score() int { return r.Glance().Score }

// Run works until ctx ends; what waits for the store is written before it
// returns.
func (r *Registry) Run(ctx context.Context) error {
	scribing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { r.scribe.run(scribing) })
	r.owner.run(ctx)
	stop()
	wg.Wait()
	return nil
}
