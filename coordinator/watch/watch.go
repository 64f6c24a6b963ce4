package watch

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// Config says whom to follow, how to reach them, and whom to tell.
type Config struct {
	// Feed names the instances; each is followed while it is published there.
	Feed *feed.Feed
	// Observe takes evidence. since is when the wait began whose end without
	// an answer the evidence tells of; zero for other evidence.
	Observe func(ctx context.Context, ev health.Event, since time.Time) error
	// Dial makes connections; see Dialer.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Credentials are for every service but those of ServiceCredentials; nil
	// means plaintext.
	Credentials        credentials.TransportCredentials
	ServiceCredentials map[string]credentials.TransportCredentials
	// DialOptions are added to ours, such as interceptors.
	DialOptions []grpc.DialOption
	// UnreachableAfter is the mesh's: a third of it is the heartbeat asked for.
	UnreachableAfter time.Duration
	// PollEvery is how often a target is asked that has Check only, a third of
	// UnreachableAfter at most; 0 means DefaultPollEvery.
	PollEvery time.Duration
	// Retry says how Checks are made again that were turned away.
	Retry Retry
	// RecoverAfter is the mesh's: until a changed answer was seen so often, it
	// is asked for sooner. 0 means health's default.
	RecoverAfter int
	// Score is how badly we are ourselves, from 0 to 7; time-outs are longer by
	// as many times. nil means well.
	Score func() int
	// Logger is told of what only the operator can mend; nil means nobody is.
	Logger *slog.Logger
}

// Watcher follows instances.
type Watcher struct {
	cfg     Config
	pool    *pool
	wheel   *wheel
	retrier *retrier
	wg      sync.WaitGroup

	mu        sync.Mutex
	followers map[health.ID]*follower
}

// New returns a watcher; Run makes it work.
func New(cfg Config) *Watcher {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.UnreachableAfter == 0 {
		cfg.UnreachableAfter = health.DefaultUnreachableAfter
	}
	if cfg.PollEvery == 0 {
		cfg.PollEvery = DefaultPollEvery
	}
	if cfg.RecoverAfter == 0 {
		cfg.RecoverAfter = health.MeshPolicy{}.WithDefaults().RecoverAfter
	}
	w := &Watcher{cfg: cfg, followers: map[health.ID]*follower{}, retrier: newRetrier(&cfg)}
	// Outermost, so that the others see every attempt.
	cfg.DialOptions = append([]grpc.DialOption{grpc.WithChainUnaryInterceptor(w.retrier.unary)}, cfg.DialOptions...)
	w.pool = newPool(&cfg)
	w.wheel = newWheel(cfg.pace(cfg.PollEvery), &w.wg)
	return w
}

// pace is how often targets are asked, and patient how long they are waited for:
// longer where we are not well ourselves. Together they stay below
// UnreachableAfter, so that when many vanish at once all of them are in doubt
// before the first is given up: else the mesh would see too late that they are
// many.
func (c *Config) pace(every time.Duration) time.Duration { return min(every, c.UnreachableAfter/3) }

func (c *Config) patient(d time.Duration) time.Duration {
	if c.Score != nil {
		d *= time.Duration(1 + c.Score())
	}
	return min(d, c.UnreachableAfter/2)
}

// Modes returns the number of followers by what they use.
func (w *Watcher) Modes() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	modes := map[string]int{}
	for _, f := range w.followers {
		modes[f.source().String()]++
	}
	return modes
}

// Run follows what the feed names until ctx ends, and returns when every
// follower has.
func (w *Watcher) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer w.wg.Wait()
	defer stop()
	w.wg.Go(func() { w.listen(ctx) })
	w.wg.Go(func() { w.wheel.run(ctx) })
	reader := w.cfg.Feed.NewReader(feed.Interest{})
	for {
		step, err := reader.Next(ctx)
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		w.apply(ctx, &step)
	}
}

// apply makes the followers those that the feed now asks for.
func (w *Watcher) apply(ctx context.Context, step *feed.Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	named := map[health.ID]bool{}
	for _, e := range step.Entries {
		if e.Spec == nil {
			continue
		}
		named[e.ID] = true
		w.desire(ctx, e)
	}
	if !step.Snapshot {
		return
	}
	for id := range w.followers {
		if !named[id] {
			w.drop(id)
		}
	}
}

// desire starts, replaces or ends the follower of one instance.
func (w *Watcher) desire(ctx context.Context, e *feed.Entry) {
	old := w.followers[e.ID]
	switch {
	case e.Removed || e.Pushed:
		w.drop(e.ID)
	case old == nil:
		w.start(ctx, newFollower(w, e, nil))
	case !old.follows(e.Spec):
		old.stop(nil)
		w.start(ctx, newFollower(w, e, old))
	}
}

func (w *Watcher) start(ctx context.Context, f *follower) {
	w.followers[f.id] = f
	ctx, f.stop = context.WithCancelCause(ctx)
	w.wg.Go(func() { f.run(ctx) })
}

func (w *Watcher) drop(id health.ID) {
	if f := w.followers[id]; f != nil {
		f.stop(nil)
		delete(w.followers, id)
	}
}
