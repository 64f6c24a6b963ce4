package client

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// world is a network with one coordinator, which can be stopped.
type world struct {
	t        *testing.T
	registry *registry
	health   func(grpc.ServiceRegistrar)
	options  []grpc.ServerOption

	mu    sync.Mutex
	lis   *bufconn.Listener
	srv   *grpc.Server
	conns []*testConn
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, registry: &registry{leases: map[string]*pb.Registration{}, ttl: wire.DefaultTTL}}
	t.Cleanup(w.down)
	return w
}

// up starts the coordinator.
func (w *world) up() {
	lis := bufconn.Listen(256 << 10)
	srv := grpc.NewServer(append(append(wire.ServerOptions(), grpc.WaitForHandlers(true)), w.options...)...)
	pb.RegisterRegistryServiceServer(srv, w.registry)
	if w.health != nil {
		w.health(srv)
	}
	w.mu.Lock()
	w.lis, w.srv = lis, srv
	w.mu.Unlock()
	go func() { _ = srv.Serve(lis) }()
}

// down stops the coordinator and closes all its connections.
func (w *world) down() {
	w.mu.Lock()
	srv := w.srv
	w.lis, w.srv = nil, nil
	w.mu.Unlock()
	if srv != nil {
		srv.Stop()
	}
}

func (w *world) dial(ctx context.Context, _ string) (net.Conn, error) {
	w.mu.Lock()
	lis := w.lis
	w.mu.Unlock()
	if lis == nil {
		return nil, syscall.ECONNREFUSED
	}
	conn, err := lis.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	c := &testConn{Conn: conn, closed: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	return c, nil
}

func (w *world) dials() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
}

// kill makes all open connections dead: they transport nothing, and report no error.
func (w *world) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.setDead()
	}
}

func (w *world) client() *Client {
	w.t.Helper()
	c, err := New(Config{
		Coordinator: "passthrough:///coordinator", Insecure: true,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(w.dial)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	})
	return c
}

// testConn is a connection that can become dead.
type testConn struct {
	net.Conn
	mu     sync.Mutex
	dead   bool
	once   sync.Once
	closed chan struct{}
}

func (c *testConn) setDead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
}

func (c *testConn) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

func (c *testConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.isDead() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *testConn) Write(b []byte) (int, error) {
	if c.isDead() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *testConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// registry is a coordinator whose answers the test decides.
type registry struct {
	pb.UnimplementedRegistryServiceServer

	mu     sync.Mutex
	ttl    time.Duration
	leases map[string]*pb.Registration // by lease
	count  int
	calls  []call
	pushed []*pb.ReportRequest
	// before returns the error of a call; nil means that all calls are answered.
	before      func(ctx context.Context, method string) error
	unreachable bool
	// dismiss is closed to end Report streams.
	dismiss chan error
}

// call is one call that was received.
type call struct {
	method      string
	at          time.Time
	lease       string
	incarnation string
	key         string
	proves      bool
}

func (g *registry) do(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// set changes the answers to calls.
func (g *registry) set(before func(ctx context.Context, method string) error) {
	g.do(func() { g.before = before })
}

// came returns the calls of a method that were received so far.
func (g *registry) came(method string) []call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.calls), func(c call) bool { return c.method != method })
}

func (g *registry) reported() []*pb.ReportRequest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.pushed)
}

func (g *registry) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.leases)
}

func (g *registry) note(ctx context.Context, c call) error {
	c.at = time.Now()
	g.mu.Lock()
	g.calls = append(g.calls, c)
	before := g.before
	g.mu.Unlock()
	if before == nil {
		return nil
	}
	return wire.GRPC(before(ctx, c.method))
}

func (g *registry) Register(ctx context.Context, req *pb.RegisterRequest) (*pb.RegisterResponse, error) {
	if _, err := wire.Registrations(req); err != nil {
		return nil, err
	}
	reg := req.GetRegistrations()[0]
	if err := g.note(ctx, call{
		method: "Register", incarnation: reg.GetIncarnation(), key: string(reg.GetKey()), proves: reg.GetProves(),
	}); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	lease := g.leaseOf(reg)
	return &pb.RegisterResponse{Leases: []*pb.Lease{{
		Service: reg.GetService(), Instance: reg.GetInstance(), LeaseId: lease,
		Ttl: durationpb.New(g.ttl), Address: reg.GetAddress(),
	}}}, nil
}

// leaseOf returns the lease of the same process, or a new one for another process.
func (g *registry) leaseOf(reg *pb.Registration) string {
	for lease, old := range g.leases {
		if old.GetService() != reg.GetService() || old.GetInstance() != reg.GetInstance() {
			continue
		}
		if old.GetIncarnation() == reg.GetIncarnation() {
			return lease
		}
		delete(g.leases, lease)
	}
	g.count++
	lease := fmt.Sprintf("lease-%d", g.count)
	g.leases[lease] = reg
	return lease
}

// check returns the error of a lease.
func (g *registry) check(service, instance, lease string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leases[lease] != nil {
		return nil
	}
	for _, reg := range g.leases {
		if reg.GetService() == service && reg.GetInstance() == instance {
			return domain.ErrSuperseded
		}
	}
	return domain.ErrLeaseUnknown
}

func (g *registry) Renew(ctx context.Context, req *pb.RenewRequest) (*pb.RenewResponse, error) {
	if err := g.note(ctx, call{method: "Renew", lease: req.GetLeaseId()}); err != nil {
		return nil, err
	}
	if err := g.check(req.GetService(), req.GetInstance(), req.GetLeaseId()); err != nil {
		return nil, wire.GRPC(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return &pb.RenewResponse{Ttl: durationpb.New(g.ttl), Unreachable: g.unreachable}, nil
}

func (g *registry) Deregister(ctx context.Context, req *pb.DeregisterRequest) (*pb.DeregisterResponse, error) {
	if err := g.note(ctx, call{method: "Deregister", lease: req.GetLeaseId()}); err != nil {
		return nil, err
	}
	if err := g.check(req.GetService(), req.GetInstance(), req.GetLeaseId()); err != nil {
		return nil, wire.GRPC(err)
	}
	g.do(func() { delete(g.leases, req.GetLeaseId()) })
	return &pb.DeregisterResponse{}, nil
}

func (g *registry) Report(stream grpc.ClientStreamingServer[pb.ReportRequest, pb.ReportResponse]) error {
	if err := g.note(stream.Context(), call{method: "Report"}); err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- g.receive(stream) }()
	g.mu.Lock()
	dismiss := g.dismiss
	g.mu.Unlock()
	select {
	case err := <-received:
		return wire.GRPC(err)
	case err := <-dismiss:
		if err != nil {
			return wire.GRPC(err)
		}
		return stream.SendAndClose(&pb.ReportResponse{})
	}
}

func (g *registry) receive(stream grpc.ClientStreamingServer[pb.ReportRequest, pb.ReportResponse]) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := g.check(m.GetService(), m.GetInstance(), m.GetLeaseId()); err != nil {
			return err
		}
		g.do(func() { g.pushed = append(g.pushed, m) })
	}
}

// failing returns a script that fails these methods, or all methods if there are none.
func failing(err error, methods ...string) func(context.Context, string) error {
	return func(_ context.Context, method string) error {
		if len(methods) == 0 || slices.Contains(methods, method) {
			return err
		}
		return nil
	}
}

// blocking returns a script that never answers a method.
func blocking(method string) func(context.Context, string) error {
	return func(ctx context.Context, m string) error {
		if m != method {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

var unavailable = status.Error(codes.Unavailable, "away")

// source is a feed with its publisher and its heartbeats.
type source struct {
	*feed.Feed
	epoch    uint64
	revision uint64
}

func newSource(t *testing.T, epoch uint64, maxBytes int) *source {
	s := &source{Feed: feed.New(epoch, maxBytes), epoch: epoch}
	beating, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for wait(beating, time.Second, nil) {
			s.Beat()
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	return s
}

// publish publishes one status.
func (s *source) publish(name string, st health.Status) {
	s.publishReason(name, st, "")
}

func (s *source) publishReason(name string, st health.Status, reason string) {
	s.revision++
	now := time.Now()
	s.Publish([]health.Change{{Epoch: s.epoch, At: now, State: health.State{
		ID: health.ParseID(name), Status: st, Reason: reason, Since: now, Revision: s.revision,
	}}})
}

// serve makes the coordinator serve a feed.
func (w *world) serve(s *source) *grpchealth.Handlers {
	h := grpchealth.New(grpchealth.Config{Feed: s.Feed, Build: "test"})
	w.health = func(r grpc.ServiceRegistrar) { h.Register(r) }
	return h
}

// instance is the instance that most tests register.
func instance() Instance {
	return Instance{Service: "payments", Instance: "a:1", Address: "10.0.0.1:1"}
}

// bubble runs a test with simulated time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// settle lets this time pass, and waits until all goroutines are idle.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantCount[T any](t *testing.T, what string, list []T, least, most int) {
	t.Helper()
	if n := len(list); n < least || n > most {
		t.Errorf("%s: %d, want %d to %d", what, n, least, most)
	}
}

func wantEqual[T cmp.Ordered](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func mustRegister(t *testing.T, c *Client, i Instance) *Registration {
	t.Helper()
	r, err := c.Register(t.Context(), i)
	if err != nil {
		t.Fatalf("Register: %v", err)
	}
	return r
}
