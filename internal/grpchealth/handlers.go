package grpchealth

import (
	"cmp"
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// DefaultMaxWatchers is the default of Config.MaxWatchers, in streams.
	DefaultMaxWatchers = 20_000
	// DefaultMaxWatchersPerPeer is the default of Config.MaxWatchersPerPeer, in streams.
	DefaultMaxWatchersPerPeer = 4096
)

// Config configures Handlers. Feed is required.
type Config struct {
	// Feed is the feed whose entries the handlers serve.
	Feed *feed.Feed
	// Self is the name whose entry answers a request for "" if Feed has no entry "". If Feed
	// has an entry "", List and Watch send it only if the request names "". The zero value of
	// Self means that "" is a name like any other.
	Self health.ID
	// Rights returns the rights of the caller of a call of meshhealth.v1.HealthService, and is called
	// once for each. StandardRights does the same for grpc.health.v1, which shows no reasons. nil means
	// [access.ReadStatus] for every caller.
	Rights, StandardRights func(context.Context) *access.Rights
	// Asked is called at the beginning of each call, before the request is checked. nil means
	// that no function is called.
	Asked func()
	// Read is called for each call that was answered, and for each Watch at its beginning. It says what the
	// call reads. nil means that no function is called.
	Read func(context.Context, Reading)
	// Metrics returns the current checks and metrics of an entry, which may be newer than those
	// in Feed. Check and List of meshhealth.v1.HealthService send its results. nil means that
	// Check and List send the checks and metrics in Feed.
	Metrics func(health.ID) ([]health.CheckState, *health.Metrics)
	// Figures returns the current metrics of an entry if they may be newer than those in Feed, else
	// nil. They must not be modified later. Check, List and messages with figures send them. Figures
	// is not used if Metrics is set. nil means that the metrics in Feed are the newest.
	Figures func(health.ID) *health.Metrics
	// Number returns the status number that grpc.health.v1 sends for a state: at most 3, and 1
	// (SERVING) for the status SERVING. nil means that health.Status.GRPC gives the number.
	Number func(*health.State) healthpb.HealthCheckResponse_ServingStatus
	// Instances means that the :authority of a call of grpc.health.v1 can name an instance of
	// the service in the request, see [wire.ParseAuthority]. If it is false, the authority has
	// no meaning.
	Instances bool
	// Build is the version of the program. The first message and each heartbeat of a Watch
	// contain it.
	Build string
	// MaxWatchers is the largest number of open Watch streams. MaxWatchersPerPeer is the
	// largest number for one peer. 0 selects DefaultMaxWatchers and
	// DefaultMaxWatchersPerPeer.
	MaxWatchers, MaxWatchersPerPeer int
}

// Reading is what a call reads: one name, or several names, or services with their instances. If it has none of
// them, the call reads everything that its caller may read.
type Reading struct {
	One      health.ID
	Names    []health.ID
	Services []string
	// Stays means that the call is a Watch, which reads until it ends. Addresses means that it is one of
	// meshhealth.v1.HealthService, from which a resolver takes addresses.
	Stays, Addresses bool
}

// Handlers serves grpc.health.v1 and meshhealth.v1.HealthService.
type Handlers struct {
	cfg     Config
	limiter *wire.StreamLimiter
	figures figures
	tokens  *wire.TokenCipher
	made    time.Time // time at which New was called; watcher.sendBegan counts from this time
	// watchers is the set of open Watch streams: the keys are *watcher.
	watchers sync.Map
	// ended is a context that End cancels. The cause of the cancellation is the error that
	// every Watch returns.
	ended context.Context
	end   context.CancelCauseFunc
}

// New returns handlers for a feed.
func New(cfg Config) *Handlers {
	if cfg.Rights == nil {
		cfg.Rights = readStatus
	}
	if cfg.StandardRights == nil {
		cfg.StandardRights = readStatus
	}
	h := &Handlers{cfg: cfg, made: time.Now(), tokens: wire.NewTokenCipher()}
	h.limiter = wire.NewStreamLimiter("Watch", cmp.Or(cfg.MaxWatchers, DefaultMaxWatchers), cmp.Or(cfg.MaxWatchersPerPeer, DefaultMaxWatchersPerPeer))
	h.ended, h.end = context.WithCancelCause(context.Background())
	return h
}

func readStatus(context.Context) *access.Rights { return access.ReadStatus }

// End ends every Watch with UNAVAILABLE. Check and List still answer. A Watch that is opened
// after the call of End gets an error and no message. For a stock client, a stream
// with a message is a success. So it would open the next stream at once, thousands of times a
// second.
func (h *Handlers) End() { h.end(domain.ErrStopping) }

// Ended returns a channel that is closed when End is called.
func (h *Handlers) Ended() <-chan struct{} { return h.ended.Done() }

// Watchers returns the number of open Watch streams.
func (h *Handlers) Watchers() int { return h.limiter.Count() }

func (h *Handlers) noteCall() {
	if h.cfg.Asked != nil {
		h.cfg.Asked()
	}
}

func (h *Handlers) noteRead(ctx context.Context, r Reading) {
	if h.cfg.Read != nil {
		h.cfg.Read(ctx, r)
	}
}

// noteOne notes that a call reads one name. The coordinator itself, whose name is empty, may be read by everybody.
func (h *Handlers) noteOne(ctx context.Context, id health.ID, stays bool) {
	if id != (health.ID{}) {
		h.noteRead(ctx, Reading{One: id, Stays: stays})
	}
}

// prove adds a proof to the header of the answer if the metadata of the call has a nonce
// (wire.NonceHeader). The proof shows that the answer comes from this feed. The header also has
// the proof if the call fails later.
func (h *Handlers) prove(ctx context.Context) error {
	nonce, err := wire.NonceOf(ctx)
	if err != nil || nonce == nil {
		return err
	}
	return grpc.SetHeader(ctx, metadata.Pairs(wire.ProofHeader, string(h.cfg.Feed.Key().Proof(nonce))))
}

// resolve returns the name whose entry answers a request for the name id. This is id itself,
// or Config.Self if id is "" and the feed has no entry "".
func (h *Handlers) resolve(id health.ID) health.ID {
	if (id != health.ID{}) {
		return id
	}
	if _, has := h.cfg.Feed.Get(id); has {
		return id
	}
	return h.cfg.Self
}

// resolveSelector replaces the service "" in a selector by Config.Self if the feed has no
// entry "".
func (h *Handlers) resolveSelector(s *wire.Selector) {
	if s.Services[""] {
		delete(s.Services, "")
		s.Services[h.resolve(health.ID{}).Service] = true
	}
}

// hidesEmpty reports whether answers for a selector omit the entry "". They omit the entry if
// Config.Self is set and the selector does not name "". The entry "" would only repeat the
// status of Config.Self.
func (h *Handlers) hidesEmpty(s *wire.Selector) bool {
	return h.cfg.Self != (health.ID{}) && !s.Services[""]
}

// figureOf returns the newest metrics of an entry. It returns nil if the entry has none, and for the
// entry "" if it only repeats Config.Self.
func (h *Handlers) figureOf(e *feed.Entry) *health.Metrics {
	if h.cfg.Self != (health.ID{}) && e.ID == (health.ID{}) {
		return nil
	}
	return h.metricsOf(e)
}

// metricsOf returns the newest metrics of an entry, or nil if it has none.
func (h *Handlers) metricsOf(e *feed.Entry) *health.Metrics {
	var m *health.Metrics
	switch {
	case h.cfg.Metrics != nil:
		_, m = h.cfg.Metrics(e.ID)
	case h.cfg.Figures != nil:
		m = h.cfg.Figures(e.ID)
	}
	if m == nil {
		m = e.Metrics
	}
	return m
}
