package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/nettest"
	"github.com/meshhealth/meshhealth/internal/wire"
	"github.com/meshhealth/meshhealth/server"
)

// probed starts a server on a local socket.
func probed(t *testing.T, register func(*grpc.Server), opts ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(opts...)
	register(g)
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return l.Addr().String()
}

func payments(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.New(server.Config{Service: "payments"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func setStatus(t *testing.T, s *server.Server, status health.Status) {
	t.Helper()
	if err := s.SetStatus(status, ""); err != nil {
		t.Fatal(err)
	}
}

func wantProbe(t *testing.T, code int, words string, args ...string) {
	t.Helper()
	s := shell{}
	out, complaint, got := s.run(t.Context(), append([]string{"probe"}, args...)...)
	if got != code || !strings.Contains(out+complaint, words) {
		t.Errorf("probe %v: exit code %d, %s%s\nwant %d, %q", args, got, out, complaint, code, words)
	}
}

func TestProbe(t *testing.T) {
	s := payments(t)
	addr := probed(t, func(g *grpc.Server) { s.Register(g) })
	wantProbe(t, probeUnhealthy, "unhealthy: NOT_SERVING", addr)
	setStatus(t, s, health.Serving)
	wantProbe(t, exitOK, "status: SERVING\n", addr)
	wantProbe(t, exitOK, "status: SERVING\n", "-addr="+addr, "-service", "payments", "-connect-timeout=5s", "-rpc-timeout=5s", "-v", "-gzip")
	wantProbe(t, exitOK, "connected to "+addr, addr, "-v")
	wantProbe(t, probeRPC, "NotFound", addr, "--service=nobody")
	setStatus(t, s, health.Degraded)
	wantProbe(t, exitOK, "status: DEGRADED\n", addr)
	wantProbe(t, probeUnhealthy, "unhealthy: DEGRADED", addr, "-degraded-fails")
	setStatus(t, s, health.Serving)
	wantProbe(t, exitOK, "status: SERVING\n", addr, "-degraded-fails")
	setStatus(t, s, health.NotServing)
	wantProbe(t, probeUnhealthy, "unhealthy: NOT_SERVING", "-service=payments", addr)
}

// alwaysTrailers answers SERVING as servers of earlier versions do: with trailers.
type alwaysTrailers struct {
	healthpb.UnimplementedHealthServer
}

func (alwaysTrailers) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, grpc.SetTrailer(ctx, metadata.Pairs(
		wire.TrailerStatus, "SERVING", wire.TrailerCause, "ok", wire.TrailerUnconfirmed, "false",
	))
}

func TestProbeOfEarlierVersions(t *testing.T) {
	addr := probed(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, alwaysTrailers{}) })
	wantProbe(t, exitOK, "status: SERVING\n", addr, "-degraded-fails")
}

func TestProbeOfOthers(t *testing.T) {
	h := stock.NewServer()
	addr := probed(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, h) })
	wantProbe(t, exitOK, "status: SERVING\n", addr, "-degraded-fails")
	h.Shutdown()
	wantProbe(t, probeUnhealthy, "NOT_SERVING", addr)
	none := probed(t, func(*grpc.Server) {})
	wantProbe(t, probeRPC, "does not serve grpc.health.v1.Health", none)
}

func TestProbeOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// A socket that accepts no connection.
	wantProbe(t, probeConnect, "not connected to", l.Addr().String(), "-connect-timeout=100ms")
	defer l.Close()
	wantProbe(t, probeConnect, "refused", nettest.Refusing(t), "-connect-timeout=100ms")
}

// slowHealth answers after its caller has given up, and keeps the metadata of calls.
type slowHealth struct {
	healthpb.UnimplementedHealthServer
	sent chan metadata.MD
}

func (s slowHealth) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	s.sent <- md
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestProbeGivesUp(t *testing.T) {
	h := slowHealth{sent: make(chan metadata.MD, 1)}
	addr := probed(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, h) })
	wantProbe(t, probeRPC, "no answer within 100ms", addr, "-rpc-timeout=100ms",
		"-rpc-header", "X-Tenant: a:b", "-rpc-header=x-tenant: c", "-user-agent=kubelet")
	md := <-h.sent
	if got := md["x-tenant"]; len(got) != 2 || got[0] != "a:b" || got[1] != "c" {
		t.Errorf("x-tenant %q", got)
	}
	if got := md["user-agent"]; len(got) != 1 || !strings.HasPrefix(got[0], "kubelet") {
		t.Errorf("user-agent %q", got)
	}
}

func TestProbeTLS(t *testing.T) {
	dir, ca := t.TempDir(), nettest.NewAuthority(t)
	cert, key := ca.Issue(dir, "localhost", time.Hour)
	roots := ca.Roots(dir)
	creds, err := credentials.NewServerTLSFromFile(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := payments(t)
	setStatus(t, s, health.Serving)
	addr := probed(t, func(g *grpc.Server) { s.Register(g) }, grpc.Creds(creds))
	wantProbe(t, exitOK, "SERVING", addr, "-tls", "-tls-ca-cert", roots)
	wantProbe(t, exitOK, "SERVING", addr, "-tls", "-tls-ca-cert", roots, "-tls-server-name=localhost", "-tls-client-cert", cert, "-tls-client-key", key)
	wantProbe(t, exitOK, "SERVING", addr, "-tls", "-tls-no-verify")
	wantProbe(t, probeConnect, "x509", addr, "-tls", "-connect-timeout=2s")
	wantProbe(t, probeConnect, "valid for", addr, "-tls", "-tls-ca-cert", roots, "-tls-server-name=other", "-connect-timeout=2s")
	wantProbe(t, probeConnect, "not connected", addr, "-connect-timeout=2s")
	wantProbe(t, probeArguments, "-tls-ca-cert", addr, "-tls", "-tls-ca-cert", key)
	wantProbe(t, probeArguments, "-tls-client-cert", addr, "-tls", "-tls-client-cert=no", "-tls-client-key=no")
}

func TestProbeArguments(t *testing.T) {
	const addr = "localhost:1"
	for words, args := range map[string][]string{
		"no address given":                   {},
		"unexpected argument":                {addr, "localhost:2"},
		"not defined: -nonsense":             {addr, "-nonsense"},
		"-connect-timeout: is -1s":           {addr, "-connect-timeout=-1s"},
		"-rpc-timeout: is 0s":                {addr, "-rpc-timeout=0"},
		"-tls-no-verify is given without":    {addr, "-tls-no-verify"},
		"-tls-ca-cert is given without":      {addr, "-tls-ca-cert=a"},
		"-tls-server-name is given without":  {addr, "-tls-server-name=a"},
		"-tls-client-cert is given without":  {addr, "-tls-client-cert=a", "-tls-client-key=b"},
		"one is given; allowed: both":        {addr, "-tls", "-tls-client-cert=a"},
		"beside what to verify":              {addr, "-tls", "-tls-no-verify", "-tls-ca-cert=a"},
		"allowed: 'NAME: VALUE'":             {addr, "-rpc-header=nothing"},
		"Try `meshhealth probe --help`.":     {addr, "-alts", "-spiffe"},
		"more than one is given":             {addr, "-alts", "-tls"},
		"-addr: is given beside an address":  {addr, "-addr=" + addr},
		"invalid value \"x\" for flag -gzip": {},
	} {
		if strings.HasPrefix(words, "invalid value") {
			words, args = "-gzip", []string{addr, "-gzip=x"}
		}
		wantProbe(t, probeArguments, words, args...)
	}
}

// TestProbeAddresses checks that an address that can never be dialled fails at once, with the
// exit code of a failed connection and with a hint.
func TestProbeAddresses(t *testing.T) {
	for address, words := range map[string]string{
		"localhost":            `"localhost" is not an address; allowed: host:port`,
		"::1:9012":             `"::1:9012" is an IPv6 address without brackets; allowed: [::1]:9012`,
		"::1":                  "allowed: [::1]:PORT",
		"fe80::1%eth0:80":      "allowed: [fe80::1%eth0]:80",
		"ipv4:127.0.0.1:80":    "gRPC for Go has no scheme ipv4; allowed: 127.0.0.1:80",
		"ipv6:///[::1]:80":     "allowed: [::1]:80",
		"http://localhost:80":  "is not an address",
		"%zz:80":               "invalid URL escape",
		"a:b:80":               "is not an address",
		"unix://host/sock":     "authority",
		"unix:/does/not/exist": "no such file",
	} {
		wantProbe(t, probeConnect, words, "-addr="+address, "-connect-timeout=50ms")
	}
	wantProbe(t, probeConnect, "ALTS is not supported", "-addr=:1", "-alts")
	wantProbe(t, probeSPIFFE, "SPIFFE is not supported", "-addr=:1", "-spiffe")
	s := payments(t)
	setStatus(t, s, health.Serving)
	_, port, err := net.SplitHostPort(probed(t, func(g *grpc.Server) { s.Register(g) }))
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{":" + port, "dns:///127.0.0.1:" + port, "passthrough:///:" + port} {
		wantProbe(t, exitOK, "status: SERVING\n", "-addr="+address)
		wantProbe(t, exitOK, "status: SERVING\n", address)
	}
	wantProbe(t, exitOK, `from "true" on are ignored`, "-addr=:"+port, "-v", "true", "-nonsense")
	wantProbe(t, probeRPC, "", "-addr=:"+port, "-rpc-header=a: b\nc")
	wantProbe(t, probeRPC, "", "-addr=:"+port, "-rpc-header=: b")
}

func TestProbeHelp(t *testing.T) {
	wantProbe(t, exitOK, "-rpc-timeout", "--help")
	wantProbe(t, exitOK, "-rpc-timeout", "-h")
	wantProbe(t, exitOK, "meshhealth ", "-version")
}

// TestProbeWatch checks that every change is printed once, and the exit code.
func TestProbeWatch(t *testing.T) {
	s := payments(t)
	h := stock.NewServer()
	for name, c := range map[string]struct {
		register func(*grpc.Server)
		next     func()
		want     string
	}{
		"ours": {
			func(g *grpc.Server) { setStatus(t, s, health.Degraded); s.Register(g) },
			func() { setStatus(t, s, health.NotServing) },
			"2026-03-04T12:00:00Z DEGRADED warned\n2026-03-04T12:00:00Z NOT_SERVING failed\n",
		},
		"stock": {
			func(g *grpc.Server) { healthpb.RegisterHealthServer(g, h) },
			h.Shutdown,
			"2026-03-04T12:00:00Z SERVING\n2026-03-04T12:00:00Z NOT_SERVING\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			addr := probed(t, c.register)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			lines := &lineCount{at: map[int]func(){1: c.next, 2: cancel}}
			sh := shell{}
			a := sh.app()
			a.stdout = lines
			if code := a.run(ctx, []string{"probe", addr, "-watch"}); code != probeUnhealthy || lines.text.String() != c.want {
				t.Errorf("exit code %d\n%swant\n%s%s", code, lines.text.String(), c.want, sh.err.String())
			}
		})
	}
}

// lineCount is a writer that calls a function after each line.
type lineCount struct {
	text strings.Builder
	n    int
	at   map[int]func()
}

func (l *lineCount) Write(b []byte) (int, error) {
	l.text.Write(b)
	l.n++
	if f := l.at[l.n]; f != nil {
		f()
	}
	return len(b), nil
}

func TestProbeWatchOfAServerThatLeaves(t *testing.T) {
	s := payments(t)
	setStatus(t, s, health.Serving)
	var g *grpc.Server
	addr := probed(t, func(srv *grpc.Server) { g = srv; s.Register(srv) })
	lines := &lineCount{at: map[int]func(){1: func() { g.Stop() }}}
	sh := shell{}
	a := sh.app()
	a.stdout = lines
	if code := a.run(t.Context(), []string{"probe", addr, "-watch"}); code != probeRPC {
		t.Errorf("exit code %d, %s", code, sh.err.String())
	}
}
