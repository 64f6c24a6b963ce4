package grpchealth

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

var self = health.ID{Service: "self"}

// world serves a feed on a listener in memory.
type world struct {
	t        testing.TB
	feed     *feed.Feed
	handlers *Handlers
	conn     *grpc.ClientConn
	stock    healthpb.HealthClient
	mesh     pb.HealthServiceClient
	revision uint64
	filtered bool // true if callers may not read every name
	last     map[health.ID]health.Status
}

func newWorld(t testing.TB, cfg Config) *world {
	w := &world{t: t, feed: feed.New(77, 0), last: map[health.ID]health.Status{}}
	cfg.Feed = w.feed
	if cfg.Self == (health.ID{}) {
		cfg.Self = self
	}
	w.filtered = cfg.Rights != nil && !cfg.Rights(context.Background()).ReadsAll()
	w.handlers = New(cfg)
	w.connect()
	w.stock, w.mesh = healthpb.NewHealthClient(w.conn), pb.NewHealthServiceClient(w.conn)
	return w
}

// shownRevision returns the revision that callers see.
func (w *world) shownRevision() uint64 {
	if w.filtered {
		return 0
	}
	return w.revision
}

func (w *world) connect() {
	listener := bufconn.Listen(256 << 10)
	srv := grpc.NewServer()
	w.handlers.Register(srv)
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///mem",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		w.t.Fatal(err)
	}
	w.conn = conn
	w.t.Cleanup(func() { conn.Close(); srv.Stop(); <-done })
}

// publish publishes one batch of states.
func (w *world) publish(states ...health.State) *feed.Batch {
	changes := make([]health.Change, len(states))
	for i, s := range states {
		w.revision++
		s.Revision = w.revision
		changes[i] = health.Change{State: s, Epoch: 77, From: w.last[s.ID], At: time.Now()}
		w.last[s.ID] = s.Status
	}
	return w.feed.Publish(changes)
}

// is returns a state with a name and a status only.
func is(name string, status health.Status) health.State {
	return health.State{ID: health.ParseID(name), Status: status}
}

// labelled returns an instance with one label, env, and a zone.
func labelled(name, env string) health.State {
	s := is(name, health.Serving)
	s.Spec = &health.Spec{Labels: map[string]string{"env": env}, Zone: "z-" + env}
	return s
}

func gone(name string) health.State {
	s := is(name, health.Unknown)
	s.Removed = true
	return s
}

// wantCode fails the test unless err has the code.
func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%v (%v), want %v", got, err, want)
	}
}

// inbox collects the messages of a stream.
type inbox[M any] struct {
	t      *testing.T
	cancel context.CancelFunc
	came   []M
	err    error
}

// receive collects the messages of a stream in a goroutine. It needs a synctest bubble.
func receive[M any](t *testing.T, open func(context.Context) (grpc.ServerStreamingClient[M], error)) *inbox[*M] {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	in := &inbox[*M]{t: t, cancel: cancel}
	t.Cleanup(cancel)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				in.err = err
				return
			}
			in.came = append(in.came, m)
		}
	}()
	return in
}

// received returns the messages since the last call.
func (in *inbox[M]) received() []M {
	in.t.Helper()
	synctest.Wait()
	came := in.came
	in.came = nil
	return came
}

// one returns the only message since the last call, and fails the test if there is another number.
func (in *inbox[M]) one() (m M) {
	in.t.Helper()
	came := in.received()
	if len(came) != 1 {
		in.t.Fatalf("%d messages (%v), want one; the stream's end: %v", len(came), came, in.err)
	}
	return came[0]
}

// none fails the test if there is a message.
func (in *inbox[M]) none() {
	in.t.Helper()
	if came := in.received(); len(came) > 0 {
		in.t.Errorf("%d messages came (%v), want none", len(came), came)
	}
}

// ends fails the test unless the stream has ended with the code.
func (in *inbox[M]) ends(want codes.Code) {
	in.t.Helper()
	synctest.Wait()
	if in.err == nil {
		in.t.Errorf("the stream is open, want %v", want)
		return
	}
	wantCode(in.t, in.err, want)
}

func (w *world) watchStock(t *testing.T, name string) *inbox[*healthpb.HealthCheckResponse] {
	t.Helper()
	return receive(t, func(ctx context.Context) (grpc.ServerStreamingClient[healthpb.HealthCheckResponse], error) {
		return w.stock.Watch(ctx, &healthpb.HealthCheckRequest{Service: name})
	})
}

func (w *world) watch(t *testing.T, req *pb.WatchRequest) *inbox[*pb.WatchResponse] {
	t.Helper()
	return receive(t, func(ctx context.Context) (grpc.ServerStreamingClient[pb.WatchResponse], error) {
		return w.mesh.Watch(ctx, req)
	})
}
