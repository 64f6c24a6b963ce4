package server_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/server"
)

const service = "payments"

var errDown = errors.New("down")

// probe is a Check.Run whose outcomes the test sets. It records the times of its runs.
type probe struct {
	mu     sync.Mutex
	err    error
	starts []time.Time
	within func(context.Context) // called before the probe returns
	active int
	most   int // largest number of concurrent runs
}

func (p *probe) run(ctx context.Context) error {
	within := p.enter()
	if within != nil {
		within(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active--
	return p.err
}

func (p *probe) enter() func(context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts = append(p.starts, time.Now())
	p.active++
	p.most = max(p.most, p.active)
	return p.within
}

// set sets the error that runs return from now on.
func (p *probe) set(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// takes sets the function that runs call from now on.
func (p *probe) takes(within func(context.Context)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.within = within
}

func (p *probe) runs() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.starts...)
}

func (p *probe) atOnce() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

// ignoring runs for d and ignores its context.
func ignoring(d time.Duration) func(context.Context) {
	return func(context.Context) { time.Sleep(d) }
}

// honouring runs for d or until its context ends.
func honouring(d time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
}

func newServer(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	if cfg.Service == "" {
		cfg.Service = service
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t *testing.T, s *server.Server, checks ...server.Check) {
	t.Helper()
	if err := s.Add(checks...); err != nil {
		t.Fatal(err)
	}
}

// start calls Run in a goroutine until stop is called or the test ends.
func start(t *testing.T, s *server.Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		// Some tests have checks that ignore their context.
		if err := <-done; err != nil && !errors.Is(err, server.ErrStuck) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	synctest.Wait()
	return stop
}

func wantStatus(t *testing.T, s *server.Server, want health.Status) {
	t.Helper()
	synctest.Wait()
	if got := s.Status(); got != want {
		t.Errorf("status %v, want %v", got, want)
	}
	if e := current(t, s); e.Status != want {
		t.Errorf("the feed says %v, want %v", e.Status, want)
	}
}

// current returns the entry of Config.Service in the feed.
func current(t *testing.T, s *server.Server) *feed.Entry {
	t.Helper()
	e, ok := s.Feed().Get(health.ID{Service: service})
	if !ok {
		t.Fatal("the feed has no entry")
	}
	return e
}

// grpcServer is a gRPC server on a listener in memory.
type grpcServer struct {
	grpc     *grpc.Server
	listener *bufconn.Listener
}

func serve(t *testing.T, s *server.Server, opts ...grpc.ServerOption) *grpcServer {
	t.Helper()
	e := &grpcServer{grpc: grpc.NewServer(append(s.ServerOptions(), opts...)...), listener: bufconn.Listen(64 << 10)}
	s.Register(e.grpc)
	done := make(chan struct{})
	go func() { defer close(done); _ = e.grpc.Serve(e.listener) }()
	t.Cleanup(func() { e.grpc.Stop(); <-done })
	return e
}

func (e *grpcServer) dial(t *testing.T, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return e.listener.DialContext(ctx) }),
	}, opts...)
	conn, err := grpc.NewClient("passthrough:///mem", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
