//go:build e2e

package e2e

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // enables health checks in gRPC clients
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/server"
)

// counting is a stats handler that counts the calls of Watch that a server receives.
type counting struct{ watches atomic.Int64 }

func (c *counting) TagRPC(ctx context.Context, i *stats.RPCTagInfo) context.Context {
	if i.FullMethodName == "/grpc.health.v1.Health/Watch" {
		c.watches.Add(1)
	}
	return ctx
}
func (*counting) HandleRPC(context.Context, stats.RPCStats)                         {}
func (*counting) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*counting) HandleConn(context.Context, stats.ConnStats)                       {}

// TestDrain drains a server that a stock gRPC client, grpcurl and a coordinator watch. They may
// open only a few new Watches during the drain, and must not delay the stop of the server.
func TestDrain(t *testing.T) {
	_, at, _ := coordinator(t, "--memory")
	mesh, err := client.New(client.Config{Coordinator: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mesh.Close() })
	srv, err := server.New(server.Config{Service: "payments", Propagation: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Add(server.Check{Name: "fine", Run: func(context.Context) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var count counting
	g := grpc.NewServer(grpc.StatsHandler(&count))
	srv.Register(g)
	reflection.Register(g)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stop(); g.Stop(); wg.Wait() })
	wg.Go(func() { _ = srv.Run(ctx) })
	wg.Go(func() { _ = g.Serve(l) })
	if _, err := mesh.Register(ctx, client.Instance{Service: "payments", Instance: "a", Address: l.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	s := watch(t, at)
	s.until(pb.Status_STATUS_SERVING, "payments/a")
	ready(t, l.Addr().String())
	start(t, "..", grpcurl, "-plaintext", "-d", `{"service":"payments"}`, l.Addr().String(), "grpc.health.v1.Health/Watch").line("SERVING")

	before := count.watches.Load()
	if err := srv.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); g.GracefulStop() }()
	select {
	case <-stopped:
	case <-time.After(patience): // a Watch that has not ended holds up GracefulStop for ever
		t.Error("GracefulStop does not return after Drain")
	}
	opened := count.watches.Load() - before
	t.Logf("%d Watches were opened during the drain", opened)
	if opened > 5 {
		t.Errorf("%d Watches were opened during the drain, want at most 5", opened)
	}
	s.never(pb.Status_STATUS_NOT_SERVING, "payments/a")
}

// ready creates a stock gRPC client that checks the health of the server, and waits until the
// client is ready.
func ready(t *testing.T, address string) {
	t.Helper()
	conn, err := grpc.NewClient("dns:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":"payments"}}`))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	conn.Connect()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for s := conn.GetState(); s != connectivity.Ready; s = conn.GetState() {
		if !conn.WaitForStateChange(ctx, s) {
			t.Fatalf("the stock client is %s", s)
		}
	}
}
