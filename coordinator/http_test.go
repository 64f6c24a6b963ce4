package coordinator

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// running starts a coordinator on free ports.
func running(t *testing.T, cfg Config) *Coordinator {
	t.Helper()
	cfg.Listen, cfg.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	c, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, c)
	return c
}

// runUntilEnd runs a coordinator until the test ends. The test fails if Run returns an error.
func runUntilEnd(t *testing.T, c *Coordinator) { t.Cleanup(runUntil(t, c)) }

// runUntil runs a coordinator until stop is called. The test fails if Run returns an error.
func runUntil(t *testing.T, c *Coordinator) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// page requests a page with a Host header.
func page(t *testing.T, c *Coordinator, method, path, host string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.HTTPAddr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestPages(t *testing.T) {
	c := running(t, Config{})
	for _, p := range []struct {
		method, path, host string
		code               int
		text               string
	}{
		{"GET", "/livez", "", 200, "alive"},
		{"HEAD", "/livez", "", 200, ""},
		{"GET", "/readyz", "", 200, "SERVING"},
		{"GET", "/metrics", "", 200, "meshhealth_coordinator_status"},
		{"GET", "/livez", "localhost:7071", 200, "alive"},
		{"GET", "/livez", "[::1]:7071", 200, "alive"},
		{"GET", "/livez", "evil.example", 421, "Host: "},
		{"GET", "/metrics", "evil.example:7071", 421, "Host: "},
		{"POST", "/livez", "", 405, ""},
		{"GET", "/", "", 200, "/livez     200: the process answers\n/readyz "},
		{"HEAD", "/", "", 200, ""},
		{"POST", "/", "", 405, ""},
		{"GET", "/healthz", "", 404, "/livez     200: the process answers\n/readyz "},
		{"GET", "/health", "", 404, "/readyz "},
		{"GET", "/healthz/ready", "", 404, "/livez "},
		{"POST", "/healthz", "", 405, ""},
		{"GET", "/", "evil.example", 421, "Host: "},
		{"GET", "/debug/pprof/", "", 404, ""},
	} {
		code, body := page(t, c, p.method, p.path, p.host)
		if code != p.code || !strings.Contains(body, p.text) {
			t.Errorf("%s %s at %q: %d %.200q, want %d with %q", p.method, p.path, p.host, code, body, p.code, p.text)
		}
	}
}

// recorder records an HTTP answer.
type recorder struct {
	strings.Builder
	code int
}

func (*recorder) Header() http.Header { return http.Header{} }
func (r *recorder) WriteHeader(c int) { r.code = c }

// readyz requests /readyz without a listener.
func (c *Coordinator) readyz(ctx context.Context, w http.ResponseWriter) {
	c.web.Handler(ctx, c.Addr()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/readyz", nil))
}

// TestReadyzAtTheEnd: /readyz of a coordinator that stops answers DRAINING.
func TestReadyzAtTheEnd(t *testing.T) {
	c := running(t, Config{})
	ended, stop := context.WithCancel(t.Context())
	stop()
	var r recorder
	c.readyz(ended, &r)
	if r.code != health.Draining.HTTP() || !strings.HasPrefix(r.String(), "DRAINING") {
		t.Errorf("%d %s", r.code, r.String())
	}
}
