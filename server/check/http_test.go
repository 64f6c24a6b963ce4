package check_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server/check"
)

func answering(t *testing.T, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s
}

func TestHTTP(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/warn", "/lies":
			w.Header().Set("Content-Type", "application/health+json; charset=utf-8")
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/down":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/created":
			w.WriteHeader(http.StatusCreated)
		}
		switch r.URL.Path {
		case "/warn":
			_, _ = io.WriteString(w, `{"status":"warn"}`)
		case "/lies":
			_, _ = io.WriteString(w, `{"status":`)
		}
	})
	for _, c := range []struct {
		path  string
		wants []int
		want  health.Evidence
		words string
	}{
		{path: "/ok", want: health.Pass},
		{path: "/created", want: health.Pass},
		{path: "/created", wants: []int{200, 204}, want: health.Fail, words: "201"},
		{path: "/down", want: health.Fail, words: "HTTP 503"},
		{path: "/down", wants: []int{503}, want: health.Pass},
		{path: "/moved", want: health.Fail, words: `302 Found to "/ok"`},
		{path: "/moved", wants: []int{302}, want: health.Pass},
		{path: "/warn", want: health.Warn, words: "warning"},
		{path: "/lies", want: health.Pass},
	} {
		run := check.HTTP(s.Client(), s.URL+c.path, c.wants...)
		if c.words == "" {
			wantEvidence(t, c.path, run, c.want)
			continue
		}
		wantEvidence(t, c.path, run, c.want, c.words)
	}
}

// TestHTTPUsesItsConnectionAgain, though there are answers with bodies; a body
// that has no end is not read to it.
func TestHTTPUsesItsConnectionAgain(t *testing.T) {
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("x", 4096)); err != nil {
					return
				}
			}
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 32<<10))
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	run := check.HTTP(nil, s.URL)
	for range 20 {
		wantEvidence(t, "again", run, health.Pass)
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 20 runs", n)
	}
	wantEvidence(t, "endless", check.HTTP(nil, s.URL+"/endless"), health.Pass)
}

// TestHTTPTriesOnceMore when a connection breaks without an answer, and says
// what is wrong when that breaks too.
func TestHTTPTriesOnceMore(t *testing.T) {
	var tries atomic.Int32
	var broken atomic.Int32
	broken.Store(1)
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1); broken.Add(-1) >= 0 {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				conn.Close()
			}
		}
	})
	// On a connection used before, net/http tries once more by itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	run := check.HTTP(client, s.URL)
	wantEvidence(t, "broke once", run, health.Pass)
	if n := tries.Load(); n != 2 {
		t.Errorf("%d tries, want 2", n)
	}
	broken.Store(100)
	tries.Store(0)
	wantEvidence(t, "keeps breaking", run, health.Fail, "EOF")
	if n := tries.Load(); n != 2 {
		t.Errorf("%d tries, want 2", n)
	}
	s.Close()
	wantEvidence(t, "gone", run, health.Fail, "refused")
}

func TestHTTPAddress(t *testing.T) {
	for _, wrong := range []string{"", "localhost:80", "ftp://a/b", "http://", "/path", "http://a b"} {
		wantEvidence(t, wrong, check.HTTP(nil, wrong), health.Fail, "URL")
	}
}

// TestHTTPKeepsThePassword of its URL to itself.
func TestHTTPKeepsThePassword(t *testing.T) {
	s := answering(t, func(http.ResponseWriter, *http.Request) {})
	address := strings.Replace(s.URL, "http://", "http://user:secret@", 1)
	wantEvidence(t, "passes", check.HTTP(nil, address), health.Pass)
	s.Close()
	ctx := t.Context()
	if err := check.HTTP(nil, address)(ctx); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
