package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// get sends a request as an orchestrator does.
func get(s *server.Server, path string, header ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	s.Handler().ServeHTTP(w, r)
	return w
}

func wantPage(t *testing.T, s *server.Server, path string, code int, body string) {
	t.Helper()
	synctest.Wait()
	w := get(s, path)
	if w.Code != code || w.Body.String() != body {
		t.Errorf("%s: %d %q, want %d %q", path, w.Code, w.Body, code, body)
	}
}

// TestEndpoints: the answers of the three endpoints during the life of a service.
func TestEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, loop, migrate := &probe{within: honouring(time.Second)}, &probe{}, &probe{within: honouring(time.Second), err: errDown}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: db.run},
			server.Check{Name: "loop", Run: loop.run, Kind: server.Liveness},
			server.Check{Name: "migrate", Run: migrate.run, Kind: server.Startup, RecoverAfter: 1})
		all := func(live, ready, startup int) {
			t.Helper()
			synctest.Wait()
			for path, want := range map[string]int{"/livez": live, "/readyz": ready, "/startupz": startup} {
				if w := get(s, path); w.Code != want {
					t.Errorf("%s: %d %q, want %d", path, w.Code, w.Body, want)
				}
			}
		}
		all(200, 503, 503) // Run was not called
		start(t, s)
		all(200, 503, 503)
		time.Sleep(1500 * time.Millisecond)
		all(200, 503, 503) // the startup check fails
		migrate.set(nil)
		time.Sleep(time.Minute)
		all(200, 200, 200)
		migrate.set(errDown)
		time.Sleep(time.Minute)
		all(200, 503, 200) // a service that has started stays so
		migrate.set(nil)
		db.set(health.Warning(errDown))
		time.Sleep(time.Minute)
		all(200, 200, 200)
		wantPage(t, s, "/readyz", 200, "DEGRADED\n")
		loop.set(errDown)
		time.Sleep(time.Minute)
		all(503, 200, 200) // a liveness check does not affect readiness
		loop.set(nil)
		time.Sleep(time.Minute)
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		all(200, 503, 200)
	})
}

// TestPages: pages contain the cause of a failure. Only callers who may see reasons see
// the reason.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{Build: "v7", ShowReasons: func(ctx context.Context) bool { return ctx.Value(friend{}) != nil }})
		add(t, s, server.Check{Name: "db", Run: func(ctx context.Context) error { server.Observe(ctx, 7, "conns"); return nil }},
			server.Check{Name: "queue", Run: func(context.Context) error { return health.Warnf("9 waiting") }},
			server.Check{Name: "cache", Run: func(context.Context) error { return errDown }, OnFail: server.Degrade})
		start(t, s)
		wantPage(t, s, "/readyz", 200, "DEGRADED\n")
		wantPage(t, s, "/readyz?verbose", 200, "[+]db ok\n[!]queue warned\n[-]cache failed\nreadyz passed: DEGRADED\n")
		wantPage(t, s, "/livez?verbose", 200, "livez passed: SERVING\n")
		wantPage(t, s, "/readyz/db", 200, "[+]db ok\nreadyz passed: SERVING\n")
		wantPage(t, s, "/readyz/cache", 503, "[-]cache failed\nreadyz failed: NOT_SERVING\n")
		wantPage(t, s, "/livez/db", 404, "no check of /livez has this name\n")
		wantPage(t, s, "/readyz/nobody", 404, "no check of /readyz has this name\n")
		wantPage(t, s, "/readyz?exclude=queue&exclude=cache", 200, "SERVING\n")
		wantPage(t, s, "/readyz?verbose&exclude=queue&exclude=nobody", 200,
			"[+]db ok\n[-]cache failed\nwarn: no check to exclude is called \"nobody\"\nreadyz passed: DEGRADED\n")
		wantPage(t, s, "/readyz?%zz", 400, "the query: invalid URL escape \"%zz\"\n")
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/readyz?verbose", nil)
		s.Handler().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), friend{}, true)))
		if want := "[+]db ok\n[!]queue warned: 9 waiting\n[-]cache failed: down\nreadyz passed: DEGRADED\n"; w.Body.String() != want {
			t.Errorf("a friend sees %q, want %q", w.Body, want)
		}
		wantPage(t, s, "/readyz?verbose", 200, "[+]db ok\n[!]queue warned\n[-]cache failed\nreadyz passed: DEGRADED\n")
	})
}

type friend struct{}

// TestPagesAsJSON: the two JSON formats.
func TestPagesAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{Build: "v7", DegradedHTTP: 429})
		add(t, s, server.Check{Name: "db", Run: func(ctx context.Context) error { server.Observe(ctx, 7, "conns"); return health.Warnf("x") }})
		start(t, s)
		for accept, want := range map[string]string{
			"application/json":                  `{"service":"payments","status":"DEGRADED","cause":"warned","checks":[{"name":"db","status":"DEGRADED","cause":"warned","value":7,"unit":"conns"}]}`,
			"application/health+json, */*;q=.1": `{"status":"fail","releaseId":"v7","serviceId":"payments","output":"DEGRADED","checks":{"db":[{"status":"warn","output":"warned","observedValue":7,"observedUnit":"conns"}]}}`,
		} {
			w := get(s, "/readyz?verbose", "Accept", accept)
			if w.Code != 429 || w.Body.String() != want+"\n" || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %d %s, want 429 %s", accept, w.Code, w.Body, want)
			}
			if got := w.Header().Get("Content-Type"); !strings.HasPrefix(accept, got) || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", w.Header())
			}
		}
	})
}

// TestHeadAndOtherMethods: HEAD is GET without a body, and other methods are rejected.
func TestHeadAndOtherMethods(t *testing.T) {
	s := newServer(t, server.Config{})
	for method, want := range map[string]int{"HEAD": 503, "POST": 405, "DELETE": 405} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(method, "/readyz", nil))
		if w.Code != want || method == "HEAD" && (w.Body.Len() != 0 || w.Header().Get("Content-Length") != "9") {
			t.Errorf("%s: %d %q %v", method, w.Code, w.Body, w.Header())
		}
	}
}

// TestPagesFollow: a page shows the present state and values. A request runs no check.
func TestPagesFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: func(ctx context.Context) error { server.Observe(ctx, float64(n.Add(1)), "runs"); return nil }})
		start(t, s)
		read := func() string { return get(s, "/readyz?verbose", "Accept", "application/json").Body.String() }
		first := read()
		for range 100 {
			if again := read(); again != first {
				t.Fatalf("%s, then %s", first, again)
			}
		}
		if n.Load() != 1 {
			t.Errorf("%d runs", n.Load())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if again := read(); again == first {
			t.Error("figures of a minute ago")
		}
		s.Remove("db")
		if again := read(); strings.Contains(again, `"db"`) {
			t.Errorf("%s: it was removed", again)
		}
	})
}

// TestReadingAllocates: a request allocates little, however many checks there are.
func TestReadingAllocates(t *testing.T) {
	s := newServer(t, server.Config{})
	h := s.Handler()
	w := &devNull{header: http.Header{}}
	r := httptest.NewRequest(http.MethodGet, "/readyz", nil)
	h.ServeHTTP(w, r)
	if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n > 3 {
		t.Errorf("%v allocations a read, want 3 at most", n)
	}
}

type devNull struct{ header http.Header }

func (d *devNull) Header() http.Header         { return d.header }
func (d *devNull) Write(p []byte) (int, error) { return len(p), nil }
func (d *devNull) WriteHeader(int)             {}
