//go:build e2e

package e2e

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	ours "github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// from returns a client that connects to a server from the given address of this machine.
func from(t *testing.T, host, to string) healthpb.HealthClient {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	conn, err := grpc.NewClient("passthrough:///"+to, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) { return d.DialContext(ctx, "tcp", to) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return healthpb.NewHealthClient(conn)
}

// TestTenThousandWatchersFromOnePeer opens 10,000 Watches from one address. The server must
// refuse those above its limit with RESOURCE_EXHAUSTED. The others, and a client at another
// address, must be served.
func TestTenThousandWatchersFromOnePeer(t *testing.T) {
	s := startEmbedded(t, server.Config{})
	if err := s.SetStatus(ours.Serving, ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	crowd := from(t, "127.0.0.1", s.address)
	var streams []healthpb.Health_WatchClient
	refused := 0
	for range 10_000 {
		w, err := crowd.Watch(ctx, &healthpb.HealthCheckRequest{Service: "payments"})
		if err == nil {
			_, err = w.Recv()
		}
		switch status.Code(err) {
		case codes.OK:
			streams = append(streams, w)
		case codes.ResourceExhausted:
			refused++
		default:
			t.Fatal(err)
		}
	}
	if len(streams) != 4096 || refused != 10_000-4096 {
		t.Errorf("%d are served, %d refused; want 4096 and the rest", len(streams), refused)
	}

	other, err := from(t, "127.0.0.2", s.address).Watch(ctx, &healthpb.HealthCheckRequest{Service: "payments"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Recv(); err != nil {
		t.Fatalf("another peer: %v", err)
	}
	if err := s.SetStatus(ours.NotServing, ""); err != nil {
		t.Fatal(err)
	}
	for i, w := range append(streams, other) {
		resp, err := w.Recv()
		if err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
			t.Fatalf("watcher %d: %v %v", i, resp.GetStatus(), err)
		}
	}
}
