//go:build e2e

package e2e

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	ours "github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/server"
)

// embedded is a server of this library on real sockets.
type embedded struct {
	*server.Server
	address, web string
}

func startEmbedded(t *testing.T, cfg server.Config) *embedded {
	t.Helper()
	cfg.Service = "payments"
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, web := listen(t), listen(t)
	g, h := grpc.NewServer(s.ServerOptions()...), &http.Server{Handler: s.Handler(), ReadHeaderTimeout: patience}
	s.Register(g)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(l) })
	wg.Go(func() { _ = h.Serve(web) })
	t.Cleanup(func() { g.Stop(); _ = h.Close(); wg.Wait() })
	return &embedded{s, l.Addr().String(), web.Addr().String()}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func exitOf(t *testing.T, name string, args ...string) int {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return 0
}

// TestProbesAgree runs grpc-health-probe and `meshhealth probe` with the same arguments. Both
// must exit with the same code.
func TestProbesAgree(t *testing.T) {
	s := startEmbedded(t, server.Config{})
	wantExit := func(what string, want int, args ...string) {
		t.Helper()
		theirs := exitOf(t, healthProbe, args...)
		mine := exitOf(t, meshhealth, append([]string{"probe"}, args...)...)
		if theirs != want || mine != want {
			t.Errorf("%s: grpc-health-probe exits with %d, meshhealth probe with %d; want %d", what, theirs, mine, want)
		}
	}
	patient := append([]string{"-addr=" + s.address}, patientFlags...)
	for _, c := range []struct {
		status ours.Status
		want   int
	}{{ours.Starting, 4}, {ours.Serving, 0}, {ours.Degraded, 0}, {ours.NotServing, 4}, {ours.Maintenance, 4}} {
		if err := s.SetStatus(c.status, ""); err != nil {
			t.Fatal(err)
		}
		wantExit(c.status.String(), c.want, patient...)
		wantExit(c.status.String()+" by name", c.want, append([]string{"-service", "payments"}, patient...)...)
	}
	wantExit("unknown name", 3, append([]string{"-service=nobody"}, patient...)...)
	wantExit("no address", 1)
	wantExit("no time", 1, "-addr="+s.address, "-rpc-timeout=0")
	wantExit("unknown flag", 1, "-addr="+s.address, "-nonsense")
	wantExit("TLS flags without TLS", 1, "-addr="+s.address, "-tls-no-verify")
	wantExit("nobody there", 2, "-addr=127.0.0.1:"+refusing(t), "-connect-timeout=200ms")
	wantExit("TLS to plaintext", 2, "-addr="+s.address, "-tls", "-tls-no-verify", "-connect-timeout=500ms")
}

// TestKubeletProbes makes HTTP probes as kubelet does: each with a new connection and without
// redirects. The codes 200 to 399 are a success.
func TestKubeletProbes(t *testing.T) {
	fail := errors.New("down")
	var mu sync.Mutex
	var now error
	s := startEmbedded(t, server.Config{})
	check := func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	if err := s.Add(server.Check{Name: "db", Run: check, Every: 200 * time.Millisecond, FailAfter: 1, RecoverAfter: 1}); err != nil {
		t.Fatal(err)
	}
	kubelet := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
	passes := func(path string) bool {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.web+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", "kube-probe/1.31")
		req.Header.Set("Accept", "*/*")
		resp, err := kubelet.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode >= 200 && resp.StatusCode < 400
	}
	want := func(when string, live, ready, started bool) {
		t.Helper()
		if l, r, u := passes("/livez"), passes("/readyz"), passes("/startupz"); l != live || r != ready || u != started {
			t.Errorf("%s: live %v, ready %v, started %v; want %v %v %v", when, l, r, u, live, ready, started)
		}
	}
	want("before Run", true, false, false)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.await(t, ours.Serving)
	want("running", true, true, true)
	mu.Lock()
	now = fail
	mu.Unlock()
	s.await(t, ours.NotServing)
	want("failing", true, false, true)
	mu.Lock()
	now = nil
	mu.Unlock()
	s.await(t, ours.Serving)
	want("well again", true, true, true)
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	want("draining", true, false, true)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// await waits until the server has the status want.
func (e *embedded) await(t *testing.T, want ours.Status) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for r := e.Feed().NewReader(feed.Interest{}); e.Status() != want; {
		if _, err := r.Next(ctx); err != nil {
			t.Fatalf("still %v, want %v", e.Status(), want)
		}
	}
}
