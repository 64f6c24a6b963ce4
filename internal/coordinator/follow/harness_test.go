package follow

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

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// rig is a manager with an in-memory network. It records the evidence. It runs in a
// synctest bubble.
type rig struct {
	score   atomic.Int64
	t       *testing.T
	feed    *feed.Feed
	manager *Manager
	stop    func()

	mu       sync.Mutex
	hosts    map[string]*bufconn.Listener
	silent   map[string]bool // hosts that neither accept nor refuse
	dialling int             // in progress
	dials    map[string][]time.Time
	told     []told
	revision uint64
}

// told is one recorded piece of evidence.
type told struct {
	mesh.Event
	at, since time.Time
}

func newRig(t *testing.T) *rig { return newRigWith(t, func(*Config) {}) }

// newRigWith returns a rig whose configuration change has modified.
func newRigWith(t *testing.T, change func(*Config)) *rig {
	r := &rig{t: t, feed: feed.New(1, 0), hosts: map[string]*bufconn.Listener{}, silent: map[string]bool{}, dials: map[string][]time.Time{}}
	cfg := Config{Feed: r.feed, Observe: r.observe, Dial: DialPolicy{Context: r.dial}, Score: func() int { return int(r.score.Load()) }}
	change(&cfg)
	r.manager = New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.manager.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(r.stop)
	return r
}

func (r *rig) observe(_ context.Context, ev mesh.Event, since time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, told{Event: ev, at: time.Now(), since: since})
	return nil
}

// dial is like TCP: it is refused if nobody listens at the address.
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

// listen lets l answer at an address. If l is nil, nobody answers there.
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

// serve runs a gRPC server at an address until stop, or the end of the test.
func (r *rig) serve(address string, register func(*grpc.Server)) (stop func()) {
	return r.serveWith(address, register)
}

func (r *rig) serveWith(address string, register func(*grpc.Server), options ...grpc.ServerOption) (stop func()) {
	l := bufconn.Listen(64 << 10)
	g := grpc.NewServer(options...)
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

// register publishes a registration as the registry does.
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

// after lets time pass, and returns the evidence recorded meanwhile.
func (r *rig) after(d time.Duration) []told {
	time.Sleep(d)
	synctest.Wait()
	return r.drain()
}

func (r *rig) drain() []told {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.told
	r.told = nil
	return all
}

// expect compares the evidence with the wanted evidence.
func (r *rig) expect(got []told, want ...string) {
	r.t.Helper()
	var texts []string
	for _, e := range got {
		texts = append(texts, e.String())
	}
	if fmt.Sprintf("%q", texts) != fmt.Sprintf("%q", want) {
		r.t.Errorf("evidence %q, want %q", texts, want)
	}
}

// String returns the evidence in short.
func (e told) String() string {
	switch e.Kind {
	case mesh.EventReport:
		return fmt.Sprintf("%v: %v by %v", e.ID, e.Report.Status, e.Report.Source)
	case mesh.EventAlive:
		return fmt.Sprintf("%v: alive", e.ID)
	case mesh.EventRefused:
		return fmt.Sprintf("%v: refused", e.ID)
	case mesh.EventPath:
		return fmt.Sprintf("%v: path", e.ID)
	case mesh.EventFailed:
		return fmt.Sprintf("%v: failed", e.ID)
	case mesh.EventMalformed:
		return fmt.Sprintf("%v: malformed answer", e.ID)
	case mesh.EventQuota:
		return fmt.Sprintf("%v: quota", e.ID)
	case mesh.EventStranger:
		return fmt.Sprintf("%v: stranger", e.ID)
	case mesh.EventNotAsked:
		return fmt.Sprintf("%v: unasked", e.ID)
	case mesh.EventConfig:
		return fmt.Sprintf("%v: %v", e.ID, e.Cause)
	}
	return fmt.Sprintf("%v: event %d", e.ID, e.Kind)
}
