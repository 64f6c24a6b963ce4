package watch

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// rig is a watcher, the network it dials in, and what it has told. Everything
// runs in a bubble.
type rig struct {
	score atomic.Int64
	t     *testing.T
	feed  *feed.Feed
	w     *Watcher
	stop  func()

	mu       sync.Mutex
	hosts    map[string]*bufconn.Listener
	silent   map[string]bool // hosts that do not even refuse
	dialling int             // in progress
	dials    map[string][]time.Time
	told     []told
	revision uint64
}

// told is one piece of evidence.
type told struct {
	health.Event
	at, since time.Time
}

func newRig(t *testing.T) *rig { return newRigWith(t, func(*Config) {}) }

// newRigWith is one with a configuration of its own.
func newRigWith(t *testing.T, change func(*Config)) *rig {
	r := &rig{t: t, feed: feed.New(1, 0), hosts: map[string]*bufconn.Listener{}, silent: map[string]bool{}, dials: map[string][]time.Time{}}
	cfg := Config{Feed: r.feed, Observe: r.observe, Dial: r.dial, Score: func() int { return int(r.score.Load()) }}
	change(&cfg)
	r.w = New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(r.stop)
	return r
}

func (r *rig) observe(_ context.Context, ev health.Event, since time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, told{Event: ev, at: time.Now(), since: since})
	return nil
}

// dial is TCP's: where nobody listens it is refused.
func (r *rig) dial(ctx context.Context, address string) (net.Conn, error) {
	r.mu.Lock()
	r.dials[address] = append(r.dials[address], time.Now())
	l, silent := r.hosts[address], r.silent[address]
	r.dialling++
	r.mu.Unlock()
	defer r.dialEnded()
	if silent {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return l.DialContext(ctx)
}

// listen makes l what answers at an address; nil: nobody does.
func (r *rig) listen(address string, l *bufconn.Listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hosts[address] = l
}

func (r *rig) dialEnded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialling--
}

// serve listens at an address until the returned stop, or the test's end.
func (r *rig) serve(address string, register func(*grpc.Server)) (stop func()) {
	l := bufconn.Listen(64 << 10)
	g := grpc.NewServer()
	register(g)
	var running sync.WaitGroup
	running.Go(func() { _ = g.Serve(l) })
	r.mu.Lock()
	r.hosts[address] = l
	r.mu.Unlock()
	stop = sync.OnceFunc(func() {
		r.mu.Lock()
		delete(r.hosts, address)
		r.mu.Unlock()
		g.Stop()
		running.Wait()
	})
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) dialled(address string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]time.Time(nil), r.dials[address]...)
}

// register publishes a registration, as the registry would.
func (r *rig) register(name string, spec health.Spec) {
	r.publish(health.State{ID: health.ParseID(name), Spec: &spec})
}

func (r *rig) deregister(name string) {
	r.publish(health.State{ID: health.ParseID(name), Spec: &health.Spec{}, Removed: true})
}

func (r *rig) publish(s health.State) {
	r.revision++
	s.Revision = r.revision
	r.feed.Publish([]health.Change{{State: s, Epoch: 1, At: time.Now()}})
	synctest.Wait()
}

// after lets time pass, and returns what was told meanwhile.
func (r *rig) after(d time.Duration) []told {
	time.Sleep(d)
	synctest.Wait()
	return r.take()
}

func (r *rig) take() []told {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.told
	r.told = nil
	return all
}

// are compares what was told with what is wanted.
func (r *rig) are(got []told, want ...string) {
	r.t.Helper()
	var texts []string
	for _, e := range got {
		texts = append(texts, e.String())
	}
	if fmt.Sprintf("%q", texts) != fmt.Sprintf("%q", want) {
		r.t.Errorf("told %q, want %q", texts, want)
	}
}

// String is the evidence in short.
func (e told) String() string {
	switch e.Kind {
	case health.EventReport:
		return fmt.Sprintf("%v: %v by %v", e.ID, e.Report.Status, e.Report.Source)
	case health.EventAlive:
		return fmt.Sprintf("%v: alive", e.ID)
	case health.EventRefused:
		return fmt.Sprintf("%v: refused", e.ID)
	case health.EventPath:
		return fmt.Sprintf("%v: path", e.ID)
	case health.EventUnasked:
		return fmt.Sprintf("%v: unasked", e.ID)
	case health.EventConfig:
		return fmt.Sprintf("%v: %v", e.ID, e.Cause)
	}
	return fmt.Sprintf("%v: event %d", e.ID, e.Kind)
}
