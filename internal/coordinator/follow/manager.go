package follow

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/late"
)

// Manager runs one follower for each instance that the feed holds. Instances that report
// their status themselves are not followed. The methods other than Run may be called at
// any time, concurrently.
type Manager struct {
	*shared
	retrier *retrier

	mu        sync.Mutex
	followers map[health.ID]*follower
}

// New returns a manager that does nothing until Run is called.
func New(cfg Config) *Manager {
	cfg.setDefaults()
	m := &Manager{shared: &shared{cfg: cfg}, followers: map[health.ID]*follower{}, retrier: newRetrier(&cfg)}
	// The retrier, which repeats calls, is the outermost interceptor. So the other
	// interceptors are called for each attempt.
	cfg.DialOptions = append([]grpc.DialOption{grpc.WithChainUnaryInterceptor(m.retrier.unary)}, cfg.DialOptions...)
	m.pool = newPool(&cfg)
	m.polls = newPollScheduler(cfg.pace(cfg.PollEvery), &m.wg)
	return m
}

// Run follows the instances of the feed until ctx ends. It returns after all goroutines
// of the manager have ended. The error is nil if ctx was cancelled. Run must be called
// once.
func (m *Manager) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer m.wg.Wait()
	defer stop()
	m.wg.Go(func() { m.checkStreams(ctx) })
	m.wg.Go(func() { m.polls.run(ctx) })
	reader := m.cfg.Feed.NewReader(feed.Interest{Registrations: true})
	for {
		step, err := reader.Next(ctx)
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		m.apply(ctx, &step)
	}
}

// apply starts, replaces and stops followers for the entries that the feed has returned in one
// step.
func (m *Manager) apply(ctx context.Context, step *feed.Step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	named := map[health.ID]bool{}
	for e := range step.Entries {
		if e.Spec == nil {
			continue
		}
		named[e.ID] = true
		m.applyEntry(ctx, e)
	}
	if !step.Snapshot {
		return
	}
	for id := range m.followers {
		if !named[id] {
			m.stopFollower(id)
		}
	}
}

// applyEntry starts, replaces or stops the follower of one instance. The caller holds
// the lock.
func (m *Manager) applyEntry(ctx context.Context, e *feed.Entry) {
	old := m.followers[e.ID]
	switch {
	case e.Removed || e.Pushed:
		m.stopFollower(e.ID)
	case old == nil:
		m.start(ctx, newFollower(m.shared, e.ID, e.Spec, e.Named, nil))
	case !old.isFor(e.Spec):
		m.replace(ctx, old, e.Spec, e.Named)
	}
}

// replace stops a follower and starts a new one. The new follower waits until the old one has
// ended.
func (m *Manager) replace(ctx context.Context, old *follower, spec *health.Spec, named bool) {
	old.stop(nil)
	m.start(ctx, newFollower(m.shared, old.id, spec, named, old))
}

func (m *Manager) start(ctx context.Context, f *follower) {
	m.followers[f.id] = f
	ctx, f.stop = context.WithCancelCause(ctx)
	m.wg.Go(func() { f.run(ctx) })
}

func (m *Manager) stopFollower(id health.ID) {
	if f := m.followers[id]; f != nil {
		f.stop(nil)
		delete(m.followers, id)
	}
}

// checkStreams runs until ctx ends. Once a second it ends silent streams and starts due probes,
// which are Checks during a Watch. It also reports targets that the coordinator polls too late,
// and replaces followers whose configured protocol has changed.
func (m *Manager) checkStreams(ctx context.Context) {
	const interval = time.Second
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		m.applyProtocols(ctx)
		now := time.Now()
		ours := late.By(last.Add(interval), now)
		last = now
		for _, f := range m.allFollowers() {
			f.monitor.check(now, ours)
		}
		if ours == 0 {
			m.reportNeglected(ctx, now)
		}
	}
}

// applyProtocols replaces the followers for which another protocol is configured now.
func (m *Manager) applyProtocols(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.followers {
		if m.configuredProtocol(f.id, f.spec) != f.protocol {
			m.replace(ctx, f, f.spec, f.learnt.named.Load())
		}
	}
}

func (m *Manager) allFollowers() []*follower {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*follower, 0, len(m.followers))
	for _, f := range m.followers {
		all = append(all, f)
	}
	return all
}

// reportNeglected reports to the registry the targets whose last poll is so old that their
// status may no longer be right. The coordinator is at fault, and not the target.
func (m *Manager) reportNeglected(ctx context.Context, now time.Time) {
	limit := max(3*m.cfg.pace(m.cfg.PollEvery), m.cfg.UnreachableAfter)
	tasks := m.polls.removeNeglected(now, limit)
	for _, t := range tasks {
		t.notPolled(ctx, limit)
	}
	m.polls.returnTasks(tasks)
}

// Modes returns the number of followers for each source (a protocol, for example) from which
// statuses come now. The keys are the names of health.Source.
func (m *Manager) Modes() map[string]int {
	modes := map[string]int{}
	for _, f := range m.allFollowers() {
		modes[f.source.get().String()]++
	}
	return modes
}

// Figures returns the metrics that an instance has sent last. It returns nil if the instance is not
// followed, or has sent none.
func (m *Manager) Figures(id health.ID) *health.Metrics {
	m.mu.Lock()
	f := m.followers[id]
	m.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.figures.Load()
}

// Coverage returns the part of the polls due within the last 30 s that was made, from 0 to
// 1. It returns 1 if no poll was due. A coverage of 0.5 means that the poll intervals are
// twice as long as planned.
func (m *Manager) Coverage() float64 { return m.polls.coveredAt(time.Now()) }

// Breakers returns the number of addresses for each state of a breaker. The keys are "closed",
// "open" and "half-open"; all three are present.
func (m *Manager) Breakers() map[string]int { return m.pool.breakerCounts() }

// OpenAddresses returns the first addresses whose breaker is open or half-open, in alphabetical
// order. limit is the largest number of addresses to return. total is the number of all such
// addresses.
func (m *Manager) OpenAddresses(limit int) (addresses []string, total int) {
	addresses = m.pool.openAddresses()
	total = len(addresses)
	return addresses[:min(max(0, limit), total)], total
}

// Retries returns two numbers since the start of the process. made is how often a call to a
// target was repeated. denied is how often a call was not repeated, because about a tenth of
// all calls had been repeated already.
func (m *Manager) Retries() (made, denied uint64) {
	return m.retrier.made.Load(), m.retrier.denied.Load()
}
