package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// live is a real coordinator with a shell for commands to it.
type live struct {
	shell
	t  *testing.T
	at string
	c  *coordinator.Coordinator
}

func newLive(t *testing.T, cfg coordinator.Config) *live {
	t.Helper()
	cfg.Listen, cfg.HTTP = "127.0.0.1:0", cmp.Or(cfg.HTTP, coordinator.Off)
	c, err := coordinator.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	at := c.Addr().String()
	return &live{t: t, at: at, c: c, shell: shell{env: map[string]string{coordinatorEnv: at}}}
}

// does runs a command that must end with this exit code.
func (l *live) does(code int, args ...string) (stdout, stderr string) {
	l.t.Helper()
	stdout, stderr, got := l.run(l.t.Context(), args...)
	if got != code {
		l.t.Errorf("meshhealth %s: code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	return stdout, stderr
}

// stockServer starts a server of grpc.health.v1 on a free port.
func stockServer(t *testing.T) (s *stock.Server, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = stock.NewServer()
	g := grpc.NewServer()
	healthpb.RegisterHealthServer(g, s)
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return s, l.Addr().String()
}

// becomes waits until a watcher receives this status of a name.
func (l *live) becomes(name string, want pb.Status) {
	l.t.Helper()
	c, err := client.New(client.Config{Coordinator: l.at})
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	for u, err := range c.Watch(l.t.Context(), client.WatchOptions{Names: []string{name}}) {
		if err != nil {
			l.t.Fatal(err)
		}
		for _, e := range u.Entries {
			if e.Proto().GetStatus() == want {
				return
			}
		}
	}
}

// TestLife runs commands during the whole life of a stock instance.
func TestLife(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	s, address := stockServer(t)
	if _, stderr := l.does(3, "status"); !strings.Contains(stderr, "Nothing is registered yet") {
		t.Errorf("%q", stderr)
	}
	if stdout, _ := l.does(0, "register", "pay/a", "--address", address, "--label", "team=core", "--zone", "z1"); stdout != "registered pay/a at "+address+"\n" {
		t.Errorf("%q", stdout)
	}
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	l.becomes("pay", pb.Status_STATUS_SERVING)
	stdout, _ := l.does(0, "status", "pay")
	for _, want := range []string{"SERVING", "pay/a", "1/1"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %s in %q", want, stdout)
		}
	}
	stdout, _ = l.does(0, "status", "pay/a", "-o", "json")
	var h struct {
		Labels map[string]string
		Zone   string
	}
	if err := json.Unmarshal([]byte(stdout), &h); err != nil || h.Labels["team"] != "core" || h.Zone != "z1" {
		t.Errorf("%q: %+v, %v", stdout, h, err)
	}
	s.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	l.becomes("pay", pb.Status_STATUS_NOT_SERVING)
	l.does(2, "status")
	l.does(2, "status", "pay")
	l.does(2, "status", "pay/a", "nobody") // the exit code of the worst one
	if _, stderr := l.does(3, "status", "pay/b"); !strings.Contains(stderr, "pay/b is not registered\n  Did you mean pay/a?") {
		t.Errorf("%q", stderr)
	}
	stdout, _ = l.does(0, "history", "pay/a")
	if lines := strings.Split(stdout, "\n"); len(lines) != 4 || !strings.Contains(lines[1], "NOT_SERVING") {
		t.Errorf("%q", stdout)
	}
	stdout, _ = l.does(0, "history", "-n", "1", "-o", "json")
	var tr struct{ To string }
	if err := json.Unmarshal([]byte(stdout), &tr); err != nil || tr.To != "STATUS_NOT_SERVING" {
		t.Errorf("%q: %v", stdout, err)
	}
	stdout, _ = l.does(0, "history", "pay/a", "--from", "2001-01-01", "--to", "2101-01-01", "--oldest-first")
	if lines := strings.Split(stdout, "\n"); len(lines) != 4 || !strings.Contains(lines[2], "NOT_SERVING") {
		t.Errorf("%q", stdout)
	}
	if _, stderr := l.does(0, "history", "pay/a", "--to", "2001-01-01"); !strings.Contains(stderr, "Nothing has changed in this time") {
		t.Errorf("%q", stderr)
	}
	if stdout, _ := l.does(0, "deregister", "pay/a"); stdout != "deregistered pay/a\n" {
		t.Errorf("%q", stdout)
	}
	if _, stderr := l.does(3, "deregister", "pay/a"); !strings.Contains(stderr, "pay/a") {
		t.Errorf("%q", stderr)
	}
	l.does(3, "status", "pay")
}

// TestStatusWhere chooses entries of a real coordinator.
func TestStatusWhere(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	s, address := stockServer(t)
	_, other := stockServer(t)
	l.does(0, "register", "pay/a", "--address", address, "--label", "team=core,web", "--zone", "z1")
	l.does(0, "register", "shop/a", "--address", other, "--zone", "z2")
	l.becomes("shop/a", pb.Status_STATUS_SERVING)
	s.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	l.becomes("pay", pb.Status_STATUS_NOT_SERVING)
	for q, want := range map[string]struct {
		code  int
		names string
	}{
		"status=NOT_SERVING,service=pay": {2, "pay pay/@z1 pay/a"},
		`label.team="core,web"`:          {2, "pay/a"},
		"zone=z2":                        {0, "*/z2 shop/@z2 shop/a"},
		"shop,!zone=z2":                  {0, "shop"},
		"service=nobody":                 {3, ""},
	} {
		stdout, stderr := l.does(want.code, "status", "--where", q, "-o", "name")
		if got := strings.Join(strings.Fields(stdout), " "); got != want.names || (got == "") != strings.Contains(stderr, "no registered name matches") {
			t.Errorf("%s: %q, want %q: %s", q, got, want.names, stderr)
		}
		stdout, _ = l.does(want.code, "status", "--where", q, "-o", "json")
		if got, want := strings.Count(stdout, "\n"), len(strings.Fields(want.names)); got != want {
			t.Errorf("%s: %d objects, want %d", q, got, want)
		}
	}
	if stdout, _ := l.does(2, "status", "pay", "--where", "!zone=z1", "-o", "name"); stdout != "pay\n" {
		t.Errorf("%q", stdout)
	}
	if stdout, _ := l.does(0, "status", "shop", "--where", "zone=z2"); !strings.Contains(stdout, "shop/a") || strings.Contains(stdout, "pay") {
		t.Errorf("%q", stdout)
	}
	if stdout, _ := l.does(1, "status", "-o", "short"); !strings.Contains(stdout, "others: */z1 ✖ NOT_SERVING (failed), pay ✖ NOT_SERVING (failed)") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("%q", stdout)
	}
}

// TestWatchEndsAfterSoManyChanges checks --count, which does not count the first snapshot.
func TestWatchEndsAfterSoManyChanges(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	s, address := stockServer(t)
	l.does(0, "register", "pay/a", "--address", address)
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	l.becomes("pay", pb.Status_STATUS_SERVING)
	w := shell{env: l.env}
	a := w.app()
	a.stderr = onWrite(func() { // after the line "changes follow"
		s.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	})
	if code := a.run(t.Context(), []string{"watch", "pay/a", "--count", "1", "-o", "json"}); code != exitOK {
		t.Errorf("code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(w.out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"STATUS_SERVING"`) || !strings.Contains(lines[1], `"STATUS_NOT_SERVING"`) {
		t.Errorf("%q", lines)
	}
}

// TestWatchOfARealCoordinator watches a real coordinator on a terminal, until q is pressed.
func TestWatchOfARealCoordinator(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	s, address := stockServer(t)
	l.does(0, "register", "pay/a", "--address", address, "--zone", "z1")
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	l.becomes("pay", pb.Status_STATUS_SERVING)
	l.becomes("*", pb.Status_STATUS_SERVING)
	w := shell{env: l.env, columns: 80, now: time.Now}
	a := w.app()
	keys, press := io.Pipe()
	tty := &fakeTerminal{Reader: keys}
	a.terminal = tty
	screen := screen{t: t, columns: 80}
	var failed, pressed bool
	a.stdout = writerFunc(func(text string) {
		screen.write(text)
		all := strings.Join(screen.lines, "\n")
		switch {
		case !failed && strings.Contains(screen.bottom, "1 ●"):
			failed = true
			s.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
		case !pressed && strings.Contains(all, "✖ NOT_SERVING") && strings.Contains(screen.bottom, "1 ✖"):
			pressed = true
			go func() { _, _ = press.Write([]byte("q")) }()
		}
	})
	if code := a.run(t.Context(), []string{"watch", "--color", "never"}); code != exitOK {
		t.Errorf("code %d: %s", code, w.err.String())
	}
	_ = press.Close()
	all := strings.Join(screen.lines, "\n")
	if !tty.restored || !strings.Contains(all, "✖ NOT_SERVING    pay/a") || !strings.Contains(all, "→ pay NOT_SERVING") || !strings.Contains(all, "watching ") || screen.bottom != "" {
		t.Errorf("restored %v, bottom %q\n%s", tty.restored, screen.bottom, all)
	}
}

// writerFunc is a writer that calls a function with each text.
type writerFunc func(string)

func (f writerFunc) Write(p []byte) (int, error) { f(string(p)); return len(p), nil }

// onWrite is a writer that calls a function for each write.
type onWrite func()

func (f onWrite) Write(p []byte) (int, error) { f(); return len(p), nil }

// TestRefusedByTheCoordinator checks that errors of the coordinator name the field.
func TestRefusedByTheCoordinator(t *testing.T) {
	l := newLive(t, coordinator.Config{MaxInstances: 1})
	if _, stderr := l.does(3, "register", "pay/a", "--address", "192.0.2.1:1"); !strings.Contains(stderr, "address") {
		t.Errorf("%q", stderr)
	}
	l.does(0, "register", "pay/a", "--address", "127.0.0.1:1")
	if _, stderr := l.does(3, "register", "pay/b", "--address", "127.0.0.1:1"); !strings.Contains(stderr, "allowed: 1") {
		t.Errorf("%q", stderr)
	}
}
