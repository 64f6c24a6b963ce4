package xds_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	xdscreds "google.golang.org/grpc/credentials/xds"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	grpcxds "google.golang.org/grpc/xds"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// backend is a gRPC server that counts its calls.
type backend struct {
	healthpb.UnimplementedHealthServer
	address netip.AddrPort
	calls   atomic.Int64
}

// Check implements one method with a known stub.
func (b *backend) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	b.calls.Add(1)
	return &healthpb.HealthCheckResponse{}, nil
}

func serve(t *testing.T, register func(*grpc.Server), options ...grpc.ServerOption) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(options...)
	register(g)
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	return netip.MustParseAddrPort(listener.Addr().String())
}

// grpcMesh is a server with backends, and a channel of grpc-go that finds them over xDS.
type grpcMesh struct {
	*world
	backends []*backend
	calls    healthpb.HealthClient
}

func newGRPCMesh(t *testing.T, backends int) *grpcMesh {
	m := &grpcMesh{world: newWorld(t, xds.Config{})}
	t.Cleanup(m.end)
	at := serve(t, func(g *grpc.Server) { discoverypb.RegisterAggregatedDiscoveryServiceServer(g, m.Server) })
	for range backends {
		b := &backend{}
		b.address = serve(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, b) })
		m.backends = append(m.backends, b)
	}
	m.calls = dial(t, at, "pay:8080", "", insecure.NewCredentials())
	return m
}

// dial returns a client of a service that finds it over xDS. more is a field of the bootstrap.
func dial(t *testing.T, server netip.AddrPort, service, more string, creds credentials.TransportCredentials) healthpb.HealthClient {
	t.Helper()
	if more != "" {
		more = ", " + more
	}
	bootstrap := fmt.Sprintf(`{"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}]}], "node": {"id": "test"}%s}`, server, more)
	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting([]byte(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///"+service, grpc.WithResolvers(resolver), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return healthpb.NewHealthClient(conn)
}

// TestGRPCOverTLS checks that a client of grpc-go verifies a service that speaks TLS by its names.
func TestGRPCOverTLS(t *testing.T) {
	authority := nettest.NewAuthority(t)
	cert := authority.Sign(&x509.Certificate{DNSNames: []string{"pay.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	b := &backend{}
	b.address = serve(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, b) }, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	w := newWorld(t, xds.Config{Certificates: xds.Certificates{Roots: "mesh-ca"}})
	t.Cleanup(w.end)
	w.Loaded()
	at := serve(t, func(g *grpc.Server) { discoverypb.RegisterAggregatedDiscoveryServiceServer(g, w.Server) })
	providers := fmt.Sprintf(`"certificate_providers": {"mesh-ca": {"plugin_name": "file_watcher", "config": {"ca_certificate_file": %q}}}`, authority.Roots(t.TempDir()))
	creds, err := xdscreds.NewClientCredentials(xdscreds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	for service, name := range map[string]string{"right": "pay.example", "wrong": "shop.example"} {
		s := endpoint(service, 0, health.RouteHealthy)
		s.Endpoint, s.Spec = b.address, &health.Spec{Traffic: health.Traffic{TLSNames: []string{name}}}
		w.publish(s)
		client := dial(t, at, service, providers, creds)
		_, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{})
		if service == "right" && err != nil || service == "wrong" && status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", service, err)
		}
	}
}

// set gives each backend a route.
func (m *grpcMesh) set(routes ...health.Route) {
	var states []health.State
	for i, r := range routes {
		s := endpoint("pay", i, r)
		s.Endpoint = m.backends[i].address
		states = append(states, s)
	}
	m.publish(states...)
}

// call makes n calls, and returns how many of them each backend has got.
func (m *grpcMesh) call(n int) []int64 {
	m.t.Helper()
	for range n {
		if _, err := m.calls.Check(m.t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
			m.t.Fatal(err)
		}
	}
	var counts []int64
	for _, b := range m.backends {
		counts = append(counts, b.calls.Swap(0))
	}
	return counts
}

// callUntil makes calls until 100 in a row have the wanted distribution.
func (m *grpcMesh) callUntil(what string, wanted func([]int64) bool) {
	m.t.Helper()
	for {
		if counts := m.call(100); wanted(counts) {
			m.t.Logf("%s: %v", what, counts)
			return
		}
	}
}

// TestGRPCClient checks what a client of grpc-go does for each route of two backends. No call fails,
// as long as one of them is usable.
func TestGRPCClient(t *testing.T) {
	m := newGRPCMesh(t, 2)
	m.set(health.RouteHealthy, health.RouteHealthy)
	m.Loaded()
	m.callUntil("both healthy", func(n []int64) bool { return n[0] > 40 && n[1] > 40 })
	for _, r := range []health.Route{health.RouteUnhealthy, health.RouteDraining, health.RouteNone, health.RouteDuplicate} {
		m.set(health.RouteHealthy, r)
		m.callUntil(r.String(), func(n []int64) bool { return n[0] == 100 })
		m.set(r, health.RouteHealthy)
		m.callUntil(r.String(), func(n []int64) bool { return n[1] == 100 })
	}
	m.set(health.RouteDegraded, health.RouteDegraded)
	m.callUntil("both degraded", func(n []int64) bool { return n[0] > 40 && n[1] > 40 })
	m.set(health.RouteDegraded, health.RouteUnhealthy)
	m.callUntil("one degraded", func(n []int64) bool { return n[0] == 100 })
	// One of two is healthy, so it gets 70 %.
	m.set(health.RouteHealthy, health.RouteDegraded)
	m.callUntil("healthy and degraded", func(n []int64) bool { return n[0] > 50 && n[0] < 90 && n[1] > 10 })
	for _, c := range m.Clients(0, 9) {
		if !c.GetPlain() || c.GetDelta() || len(c.GetRejections()) > 0 {
			t.Errorf("the client is %+v", c)
		}
	}
}

// TestGRPCServiceGone checks that calls fail once a service has gone, and work again when it is back.
func TestGRPCServiceGone(t *testing.T) {
	m := newGRPCMesh(t, 1)
	m.set(health.RouteHealthy)
	m.Loaded()
	m.call(1)
	gone := endpoint("pay", 0, health.RouteNone)
	gone.Removed = true
	m.publish(gone)
	for {
		_, err := m.calls.Check(t.Context(), &healthpb.HealthCheckRequest{})
		if status.Code(err) == codes.Unavailable {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m.set(health.RouteHealthy)
	m.call(100)
}
