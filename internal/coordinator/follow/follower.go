package follow

import (
	"cmp"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/health"
)

// shared holds the data that all followers of a manager use.
type shared struct {
	cfg      Config
	pool     *pool
	polls    *pollScheduler
	wg       sync.WaitGroup // counts the goroutines of the manager
	sessions atomic.Uint64  // number of the last session (one stream, or one series of polls); the first one has the number 1
}

// configuredProtocol returns the protocol by which an instance must be followed. The
// configuration of the service takes precedence over the registration of the instance.
func (s *shared) configuredProtocol(id health.ID, spec *health.Spec) health.Protocol {
	if s.cfg.Protocol != nil {
		if p := s.cfg.Protocol(id.Service); p != health.ProtocolAuto {
			return p
		}
	}
	return spec.Protocol
}

// follower follows one instance while the registration of the instance exists. The goroutine of
// a follower is its method run in chain.go.
type follower struct {
	*shared
	id          health.ID
	spec        *health.Spec
	protocol    health.Protocol // the only protocol to use; ProtocolAuto: the best protocol that works
	predecessor <-chan struct{} // closed when the follower that this one replaces has ended; nil if it replaces none
	done        chan struct{}   // closed when the method run has ended
	stop        context.CancelCauseFunc

	// The goroutine of the method run uses the fields below. A worker of the poll scheduler
	// uses them while run waits for the worker.
	link     *link
	gone     <-chan struct{} // closed when the connection has broken
	interval pollInterval
	learnt   learnt

	monitor streamMonitor
	source  currentSource
	// figures are the metrics that the target has sent last, or nil. They are kept outside of the
	// mesh, because they change no status and need no revision.
	figures atomic.Pointer[health.Metrics]
}

// newFollower returns a new follower of an instance. old is the follower that the new one
// replaces, or nil. named is true if the target has ever known the health name, which is the
// service name in health requests.
func newFollower(s *shared, id health.ID, spec *health.Spec, named bool, old *follower) *follower {
	f := &follower{shared: s, id: id, spec: spec, protocol: s.configuredProtocol(id, spec), done: make(chan struct{})}
	f.interval = pollInterval{
		every: s.cfg.pace(s.cfg.PollEvery), longest: longestWaitFor(s.cfg.UnreachableAfter), stableAfter: s.cfg.RecoverAfter,
	}
	f.learnt.named.Store(named)
	if old != nil {
		f.predecessor = old.done
	}
	return f
}

// isFor reports whether the follower can continue after the registration of its instance has
// changed to spec.
func (f *follower) isFor(spec *health.Spec) bool {
	return f.spec.Lease == spec.Lease && f.spec.Address == spec.Address &&
		f.spec.HealthName == spec.HealthName && f.spec.ServerName == spec.ServerName &&
		f.spec.Protocol == spec.Protocol && f.spec.Registrant == spec.Registrant && f.spec.Configured == spec.Configured
}

// linkKey returns the key of the connection on which the target is followed.
func (f *follower) linkKey() linkKey {
	key := f.pool.keyOf(f.id, f.spec)
	switch {
	case f.learnt.ownConn:
		key.conn = f.id.String()
	case f.learnt.conn > 0:
		key.conn = strconv.Itoa(f.learnt.conn)
	}
	return key
}

// connBroken reports whether the connection has broken. It does not rely on the state of the
// ClientConn alone. When a connection breaks, gRPC first ends the calls, and changes that state
// later. A new call between these two steps would make gRPC dial.
func (f *follower) connBroken(conn *grpc.ClientConn) bool {
	at := attempt{dialled: dialled{conn: conn, gone: f.gone}}
	return at.broken()
}

// name returns the health name of the instance: the service name that the follower puts into
// health requests.
func (f *follower) name() string { return cmp.Or(f.spec.HealthName, f.id.Service) }

// knowsName reports whether the registration gives the health name, or the target has ever known
// this name. If so, the follower never asks for the status of the name "" instead.
func (f *follower) knowsName() bool { return f.spec.HealthName != "" || f.learnt.named.Load() }

// names returns the names that the follower puts into health requests. The first one is the
// health name. The second one is "", but only if the target has never known the health name,
// and the registration does not give it.
func (f *follower) names() []string {
	if f.knowsName() {
		return []string{f.name()}
	}
	return []string{f.name(), ""}
}

// withinBudget counts one message of a stream. It returns false if the instance has now sent
// more messages than Config.Budgets permits.
func (f *follower) withinBudget() bool { return f.cfg.Budgets.Take(f.id, time.Now()) }

// report passes to the registry, as evidence, the conclusion from an error. It does nothing if
// the error is no evidence. waitBegan is the time at which the wait for an answer began. It is
// zero if the error did not end a wait.
func (f *follower) report(ctx context.Context, found finding, waitBegan time.Time) {
	f.reportLate(ctx, found, waitBegan, 0)
}

// reportLate does the same as report. late is the part of the wait that does not count,
// because the coordinator itself was late.
func (f *follower) reportLate(ctx context.Context, found finding, waitBegan time.Time, late time.Duration) {
	ev := mesh.Event{Kind: found.eventKind(), Reason: found.reason, Cause: found.cause, Late: late}
	if ev.Kind == 0 || ctx.Err() != nil {
		return
	}
	if ev.Kind == mesh.EventFailed {
		ev.Report = mesh.Report{Source: cmp.Or(f.source.get(), health.SourcePoll), Via: f.learnt.via}
	}
	if !found.waited {
		waitBegan = time.Time{}
	}
	f.observe(ctx, ev, waitBegan)
}

// observe passes evidence to the registry. It ignores the error of Config.Observe, which means
// only that the manager or the registry is about to end.
func (f *follower) observe(ctx context.Context, ev mesh.Event, waitBegan time.Time) {
	ev.ID, ev.Lease = f.id, f.spec.Lease
	_ = f.cfg.Observe(ctx, ev, waitBegan)
}

// currentSource stores from which protocol the status of a target comes now. Its methods may be
// called concurrently.
type currentSource struct {
	mu     sync.Mutex
	source health.Source
}

func (c *currentSource) set(s health.Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source = s
}

func (c *currentSource) get() health.Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.source
}
