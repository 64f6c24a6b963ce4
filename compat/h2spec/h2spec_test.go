package h2spec

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// leastPassed is a number of tests that each server passes. A run in which fewer pass has tested
// nothing, for example because the server refused all connections.
const leastPassed = 90

// racing has the tests of h2spec that need a request to be unanswered when more frames of its stream
// arrive. A handler of net/http that does not wait for these frames may have answered by then. The
// stream has ended in this case, and the server may ignore the frames. So each of these tests
// sometimes fails against each server of net/http.
var racing = []string{
	"http2/6.9.1: Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
	"http2/8.1.2.6: Sends a HEADERS frame with the \"content-length\" header field which does not equal the DATA frame payload length",
	"http2/8.1.2.6: Sends a HEADERS frame with the \"content-length\" header field which does not equal the sum of the multiple DATA frames payload length",
}

// TestGRPC compares the gRPC port of a coordinator with a server of grpc-go.
func TestGRPC(t *testing.T) {
	t.Parallel()
	co := startCoordinator(t, coordinator.Config{HTTP: coordinator.Off})
	const check = "/grpc.health.v1.Health/Check"
	compare(t, target{startGRPC(t), check, false}, target{co.Addr(), check, false}, nil)
}

// TestHTTP compares the HTTP port of a coordinator with a server of net/http, both with TLS.
func TestHTTP(t *testing.T) {
	t.Parallel()
	stock := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	}))
	stock.EnableHTTP2 = true
	stock.Config.ErrorLog = log.New(io.Discard, "", 0) // net/http logs what h2spec does wrong
	stock.StartTLS()
	t.Cleanup(stock.Close)
	cert := &tls.Config{Certificates: stock.TLS.Certificates, MinVersion: tls.VersionTLS13}
	co := startCoordinator(t, coordinator.Config{HTTP: "127.0.0.1:0", HTTPTLS: cert})
	compare(t, target{stock.Listener.Addr(), "/", true}, target{co.HTTPAddr(), "/livez", true}, racing)
}

// compare runs h2spec against both servers at the same time. It fails the test if ours fails a test
// of h2spec that the stock server passes, unless except has its name.
func compare(t *testing.T, stock, ours target, except []string) {
	t.Helper()
	theirs := make(chan results, 1)
	program := h2spec(t)
	go func() { theirs <- stock.examine(t, program) }()
	mine, want := ours.examine(t, program), <-theirs
	if t.Failed() {
		return
	}
	t.Logf("the stock server passes %d and fails %d; ours passes %d and fails %d",
		len(want.passed), len(want.failed), len(mine.passed), len(mine.failed))
	for _, r := range []results{want, mine} {
		if len(r.passed) < leastPassed {
			t.Errorf("a server passes %d tests, want at least %d", len(r.passed), leastPassed)
		}
	}
	for _, name := range want.passed {
		if !slices.Contains(mine.passed, name) && !slices.Contains(except, name) {
			t.Errorf("the stock server passes and ours fails or skips: %s", name)
		}
	}
	for _, name := range except {
		if !slices.Contains(mine.passed, name) && !slices.Contains(mine.failed, name) {
			t.Errorf("h2spec has no test %s; remove it from the exceptions", name)
		}
	}
}

// startGRPC starts a server of grpc-go with its own health service. Only the number of streams is
// limited as that of a coordinator is, because h2spec tests this limit.
func startGRPC(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.MaxConcurrentStreams(wire.MaxStreams))
	healthpb.RegisterHealthServer(s, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr()
}

func startCoordinator(t *testing.T, cfg coordinator.Config) *coordinator.Coordinator {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	co, err := coordinator.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- co.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return co
}
