package server_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // without this import clients do not check health
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// address is where clients find a service. Several processes serve there one after the
// other.
type address struct {
	at      *grpcServer
	watches atomic.Int32 // streams opened on grpc.health.v1
}

// runs serves s at the address from now on.
func (a *address) runs(t *testing.T, s *server.Server) {
	a.at = serve(t, s, grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, i *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if i.FullMethod == "/grpc.health.v1.Health/Watch" {
			a.watches.Add(1)
		}
		return next(srv, ss)
	}))
}

// dialPayments is the client that docs/kubernetes.md shows.
func dialPayments(target string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient(target, append(opts, grpc.WithDefaultServiceConfig(`{
		"loadBalancingConfig": [{"round_robin": {}}],
		"healthCheckConfig": {"serviceName": "payments"}
	}`))...)
}

// stock is a grpc-go client with health checking.
func (a *address) stock(t *testing.T) *grpc.ClientConn {
	conn, err := dialPayments("passthrough:///payments", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return a.at.listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	conn.Connect()
	return conn
}

// TestStockClient: the client calls while the server is SERVING or DEGRADED, does not
// call otherwise, and calls again after a restart.
func TestStockClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a address
		first := newServer(t, server.Config{Propagation: 2 * time.Second})
		a.runs(t, first)
		conn := a.stock(t)
		calls := func(when string, want codes.Code) {
			t.Helper()
			synctest.Wait()
			_, err := pb.NewHealthServiceClient(conn).Check(t.Context(), &pb.CheckRequest{})
			if status.Code(err) != want {
				t.Errorf("%s: %v, want %v", when, err, want)
			}
		}
		calls("starting", codes.Unavailable)
		stop := start(t, first)
		for _, is := range []health.Status{health.Serving, health.Degraded, health.NotServing, health.Degraded, health.Maintenance, health.Serving} {
			if err := first.SetStatus(is, ""); err != nil {
				t.Fatal(err)
			}
			want := codes.OK
			if is == health.NotServing || is == health.Maintenance {
				want = codes.Unavailable
			}
			calls(is.String(), want)
		}
		if n := a.watches.Load(); n != 1 {
			t.Errorf("%d Watches, want the one", n)
		}
		drained := make(chan error, 1)
		go func() { drained <- first.Stop(a.at.grpc, time.Minute) }()
		calls("draining", codes.Unavailable)
		if err := <-drained; err != nil {
			t.Error(err)
		}
		stop()
		calls("stopped", codes.Unavailable)
		time.Sleep(10 * time.Second)

		second := newServer(t, server.Config{})
		a.watches.Store(0)
		a.runs(t, second)
		start(t, second)
		for s := conn.GetState(); s != connectivity.Ready && conn.WaitForStateChange(t.Context(), s); s = conn.GetState() {
			conn.Connect()
		}
		calls("restarted", codes.OK)
		if n := a.watches.Load(); n != 1 {
			t.Errorf("%d Watches after the restart, want one", n)
		}
	})
}

// A stock client whose stream ends after a message opens it again at once, thousands of
// times per second.
func TestStockClientComesBackFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a address
		s := newServer(t, server.Config{Propagation: time.Second})
		a.runs(t, s)
		a.stock(t)
		stop := start(t, s)
		if n := a.watches.Load(); n != 1 {
			t.Fatalf("%d Watches before, want 1", n)
		}
		begun := time.Now()
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Second - time.Since(begun))
		synctest.Wait()
		if n := a.watches.Load(); n > 5 {
			t.Errorf("%d Watches in 2 s of draining, want 5 at most", n)
		}
		stop()
		if _, err := pb.NewHealthServiceClient(a.at.dial(t)).Check(t.Context(), &pb.CheckRequest{}); status.Code(err) != codes.OK {
			t.Error(err)
		}
	})
}
