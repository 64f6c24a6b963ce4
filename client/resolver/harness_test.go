package resolver_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/client/resolver"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/testmesh"
	"github.com/meshhealth/meshhealth/server"
)

const coordinatorAt = "127.0.0.1:7070"

// rig is a coordinator, services and callers on a network in memory. It needs a synctest bubble.
type rig struct {
	t      *testing.T
	net    *testmesh.Network
	store  store.Store
	config coordinator.Config // changes that the test wants
	end    context.CancelFunc // ends the coordinator
	ended  chan error
	client *client.Client // of the callers
	log    *lines
}

// keptStore is a store in memory whose content remains after Close, as in a file.
type keptStore struct{ store.Store }

// Close does nothing, so that the next coordinator can use the store.
func (keptStore) Close() error { return nil }

func newRig(t *testing.T) *rig {
	r := &rig{t: t, net: testmesh.NewNetwork(), store: keptStore{store.NewMemory(0)}, log: &lines{}}
	t.Cleanup(func() {
		if r.ended != nil {
			r.killCoordinator()
		}
	})
	r.client = r.newClient(client.Config{})
	return r
}

func (r *rig) startCoordinator() {
	r.t.Helper()
	cfg := r.config
	cfg.Listener, cfg.HTTP, cfg.Store = r.net.Listen(coordinatorAt), coordinator.Off, r.store
	cfg.Dial = coordinator.Dial{Context: r.net.Dial}
	cfg.Logger = slog.New(slog.DiscardHandler)
	c, err := coordinator.New(context.Background(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.end = context.WithCancel(context.Background())
	ended := make(chan error, 1)
	r.ended = ended
	go func() { ended <- c.Run(ctx) }()
}

// killCoordinator ends the coordinator. All its connections break first, as after SIGKILL.
func (r *rig) killCoordinator() {
	r.net.Kill(coordinatorAt)
	r.end()
	<-r.ended
	r.ended = nil
}

func (r *rig) newClient(cfg client.Config) *client.Client {
	r.t.Helper()
	cfg.Coordinator = "passthrough:///" + coordinatorAt
	if cfg.Credentials == nil {
		cfg.Credentials = insecure.NewCredentials()
	}
	cfg.DialOptions = append(cfg.DialOptions, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return r.net.Dial(ctx, coordinatorAt)
	}))
	c, err := client.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// watchers returns the number of Watches that the coordinator has from the callers.
func (r *rig) watchers() uint32 {
	r.t.Helper()
	state, err := pb.NewAdminServiceClient(r.client.Conn()).GetCoordinator(context.Background(), &pb.GetCoordinatorRequest{})
	if err != nil {
		r.t.Fatal(err)
	}
	return state.GetWatchers()
}

// backend is an instance of a service with a method that returns the name of the instance.
type backend struct {
	r      *rig
	in     client.Instance
	health *server.Server
	grpc   *grpc.Server
	client *client.Client
	lease  *client.Registration
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

// start starts an instance and registers it. The fields Service and Address of in are required.
func (r *rig) start(in client.Instance) *backend {
	r.t.Helper()
	if in.Instance == "" {
		in.Instance = in.Address
	}
	b := &backend{r: r}
	var err error
	if b.health, err = server.New(server.Config{Service: in.Service, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		r.t.Fatal(err)
	}
	in.Feed = b.health.Feed()
	b.in = in
	b.set(health.Serving)
	b.grpc = grpc.NewServer()
	b.health.Register(b.grpc)
	b.grpc.RegisterService(&who, in.Instance)
	l := r.net.Listen(in.Address)
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	b.wg.Go(func() { _ = b.grpc.Serve(l) })
	b.wg.Go(func() { _ = b.health.Run(ctx) })
	b.client = r.newClient(client.Config{Logger: slog.New(slog.DiscardHandler)})
	b.lease = b.client.RegisterAsync(in)
	r.t.Cleanup(b.close)
	return b
}

func (b *backend) set(s health.Status) {
	b.r.t.Helper()
	if err := b.health.SetStatus(s, "by the test"); err != nil {
		b.r.t.Error(err)
	}
}

func (b *backend) close() {
	b.stop()
	b.grpc.Stop()
	_ = b.client.Close()
	b.wg.Wait()
}

// who is a service whose method returns the value with which the service was registered, a string.
var who = grpc.ServiceDesc{
	ServiceName: "test.Who", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Ask", Handler: func(srv any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		return wrapperspb.String(srv.(string)), read(&emptypb.Empty{})
	}}},
}

func (r *rig) resolver(cfg resolver.Config) *resolver.Resolver {
	r.t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(r.log)
	}
	res, err := resolver.New(r.client, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// policies has a service config for each policy.
var policies = map[string]string{
	"meshhealth":             resolver.ServiceConfig,
	"pick_first":             `{"loadBalancingConfig":[{"pick_first":{}}]}`,
	"round_robin":            `{"loadBalancingConfig":[{"round_robin":{}}]}`,
	"weighted_round_robin":   `{"loadBalancingConfig":[{"weighted_round_robin":{}}]}`,
	"ring_hash_experimental": `{"loadBalancingConfig":[{"ring_hash_experimental":{"requestHashHeader":"key"}}]}`,
}

// dial opens a channel, which the test may close before its end.
func (r *rig) dial(res *resolver.Resolver, target, policy string, opts ...grpc.DialOption) *grpc.ClientConn {
	r.t.Helper()
	opts = append(opts, grpc.WithResolvers(res), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(r.net.Dial), grpc.WithDefaultServiceConfig(policies[policy]))
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask makes one call with a time limit of 10 s, and returns the instance that has answered.
func ask(ctx context.Context, conn *grpc.ClientConn) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var out wrapperspb.StringValue
	err := conn.Invoke(ctx, "/test.Who/Ask", &emptypb.Empty{}, &out)
	return out.GetValue(), err
}

// counts makes n calls, and returns the number of answers of each instance. It first waits until all
// connections of the channel are open.
func (r *rig) counts(conn *grpc.ClientConn, n int) map[string]int {
	r.t.Helper()
	_, _ = ask(context.Background(), conn)
	synctest.Wait()
	counts := map[string]int{}
	for range n {
		name, err := ask(context.Background(), conn)
		if err != nil {
			r.t.Fatalf("call: %v", err)
		}
		counts[name]++
	}
	return counts
}

// settle gives the processes time to register, to report and to connect.
func settle() { after(5 * time.Second) }

func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// lines is a log handler that keeps the texts of the records.
type lines struct {
	mu   sync.Mutex
	list []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	text := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { text += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, text)
	return nil
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.list...)
}
