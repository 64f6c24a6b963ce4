package check_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshhealth/meshhealth/internal/machine"

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
		want  machine.Evidence
		words string
	}{
		{path: "/ok", want: machine.Pass},
		{path: "/created", want: machine.Pass},
		{path: "/created", wants: []int{200, 204}, want: machine.Fail, words: "201"},
		{path: "/down", want: machine.Fail, words: "HTTP 503"},
		{path: "/down", wants: []int{503}, want: machine.Pass},
		{path: "/moved", want: machine.Fail, words: `302 Found to "/ok"`},
		{path: "/moved", wants: []int{302}, want: machine.Pass},
		{path: "/warn", want: machine.Warn, words: "warning"},
		{path: "/lies", want: machine.Pass},
	} {
		run := check.HTTP(s.Client(), s.URL+c.path, c.wants...)
		if c.words == "" {
			wantEvidence(t, c.path, run, c.want)
			continue
		}
		wantEvidence(t, c.path, run, c.want, c.words)
	}
}

// TestHTTPUsesItsConnectionAgain: the runs share one connection, although the answers have
// bodies. The check does not read an endless body to its end.
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
		wantEvidence(t, "again", run, machine.Pass)
	}
	// On a busy machine net/http does not reuse a connection whose write loop needs more than
	// 50 ms to report the end of the request.
	if n := opened.Load(); n > 5 {
		t.Errorf("%d connections for 20 runs, want one", n)
	}
	wantEvidence(t, "endless", check.HTTP(nil, s.URL+"/endless"), machine.Pass)
}

// TestHTTPTriesOnceMore: if a connection breaks without an answer, the check tries once
// more. If the second attempt breaks too, it returns the error.
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
	// net/http itself repeats a request on a connection that was used before.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	run := check.HTTP(client, s.URL)
	wantEvidence(t, "broke once", run, machine.Pass)
	if n := tries.Load(); n != 2 {
		t.Errorf("%d tries, want 2", n)
	}
	broken.Store(100)
	tries.Store(0)
	wantEvidence(t, "keeps breaking", run, machine.Fail, "EOF")
	if n := tries.Load(); n != 2 {
		t.Errorf("%d tries, want 2", n)
	}
	s.Close()
	wantEvidence(t, "gone", run, machine.Fail, "refused")
}

func TestHTTPAddress(t *testing.T) {
	for _, wrong := range []string{"", "localhost:80", "ftp://a/b", "http://", "/path", "http://a b"} {
		wantEvidence(t, wrong, check.HTTP(nil, wrong), machine.Fail, "URL")
	}
}

// TestHTTPKeepsThePassword: an error does not contain the password of the URL.
func TestHTTPKeepsThePassword(t *testing.T) {
	s := answering(t, func(http.ResponseWriter, *http.Request) {})
	address := strings.Replace(s.URL, "http://", "http://user:secret@", 1)
	wantEvidence(t, "passes", check.HTTP(nil, address), machine.Pass)
	s.Close()
	ctx := t.Context()
	if err := check.HTTP(nil, address)(ctx); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
