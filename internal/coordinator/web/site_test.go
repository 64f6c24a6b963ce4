package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health/feed"
)

// example is a small page.
func example() fstest.MapFS {
	return fstest.MapFS{
		indexName:   {Data: []byte("<!doctype html>" + rootPlace + buildPlace + basePlace + strings.Repeat("<p>text</p>", 100))},
		"app.js":    {Data: []byte(strings.Repeat("let x = 1;\n", 200))},
		"app.css":   {Data: []byte("b{}")},
		"worker.js": {Data: []byte("1")},
	}
}

// served answers one request with the example page of a coordinator with a prefix.
func served(t *testing.T, prefix string, r *http.Request) *http.Response {
	t.Helper()
	s, err := New(Config{Feed: feed.New(1, 0), Metrics: prometheus.NewRegistry(), Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	if s.pages.site, err = newSite(example(), prefix, `v1"<`, false); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Handler(t.Context(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7071}).ServeHTTP(w, r)
	return w.Result()
}

func request(method, path string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "http://localhost:7071"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestSite(t *testing.T) {
	index := string(fillIndex(example()[indexName].Data, "", `v1"<`, false))
	app, css := string(example()["app.js"].Data), string(example()["app.css"].Data)
	const html, script = "text/html; charset=utf-8", "text/javascript; charset=utf-8"
	for _, c := range []struct {
		method, path, accepts string
		code                  int
		kind, encoding, body  string
	}{
		{"GET", "/ui/", "", 200, html, "", index},
		{"GET", "/ui/s/pay/1?at=12:00", "", 200, html, "", index},
		{"GET", "/ui/", "gzip, br", 200, html, "gzip", index},
		{"HEAD", "/ui/", "", 200, html, "", ""},
		{"GET", "/ui/assets/app.js", "", 200, script, "", app},
		{"GET", "/ui/assets/app.js", "br;q=1, GZIP ;q=0.1", 200, script, "gzip", app},
		{"GET", "/ui/assets/app.js", "gzip;q=0, deflate", 200, script, "", app},
		{"GET", "/ui/assets/app.js", "xgzip", 200, script, "", app},
		{"GET", "/ui/assets/app.css", "gzip", 200, "text/css; charset=utf-8", "", css}, // gzip would be larger
		{"GET", "/ui/assets/other.js", "", 404, "text/plain; charset=utf-8", "", "the page has no such file\n"},
		{"GET", "/ui/assets/..%2fapp.js", "", 404, "text/plain; charset=utf-8", "", "the page has no such file\n"},
		{"POST", "/ui/", "", 405, "text/plain; charset=utf-8", "", "Method Not Allowed\n"},
	} {
		r := request(c.method, c.path)
		if c.accepts != "" {
			r.Header.Set("Accept-Encoding", c.accepts)
		}
		resp := served(t, "", r)
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.Header.Get("Content-Encoding") == "gzip" {
			body, err = unpacked(body)
		}
		if err != nil || resp.StatusCode != c.code || resp.Header.Get("Content-Type") != c.kind ||
			resp.Header.Get("Content-Encoding") != c.encoding || string(body) != c.body {
			t.Errorf("%s %s %q: %d %v %.80q %v", c.method, c.path, c.accepts, resp.StatusCode, resp.Header, body, err)
		}
	}
}

func unpacked(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// TestSiteHeaders: each answer below /ui isolates the page, also an answer with an error.
func TestSiteHeaders(t *testing.T) {
	for _, path := range []string{"/ui", "/ui/", "/ui/s/pay", "/ui/assets/app.js", "/ui/assets/none"} {
		h := served(t, "", request("GET", path)).Header
		for name, want := range map[string]string{
			"Content-Security-Policy":      "default-src 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'; form-action 'none'",
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
		if len(h["Access-Control-Allow-Origin"]) > 0 || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// TestSiteRevalidates: a browser that has a file asks for it again, and gets 304 until it changes.
func TestSiteRevalidates(t *testing.T) {
	tags := map[string]bool{}
	for _, accepts := range []string{"", "gzip"} {
		for _, path := range []string{"/ui/", "/ui/assets/app.js"} {
			first := served(t, "", request("GET", path, "Accept-Encoding", accepts))
			tag := first.Header.Get("ETag")
			if first.Header.Get("Cache-Control") != "no-cache" || first.Header.Get("Vary") != "Accept-Encoding" || len(tag) < 10 || tags[tag] {
				t.Errorf("%s %q: %v", path, accepts, first.Header)
			}
			tags[tag] = true
			again := served(t, "", request("GET", path, "Accept-Encoding", accepts, "If-None-Match", tag))
			other := served(t, "", request("GET", path, "Accept-Encoding", accepts, "If-None-Match", `"other"`))
			if again.StatusCode != http.StatusNotModified || other.StatusCode != http.StatusOK {
				t.Errorf("%s %q: %d, with another tag %d", path, accepts, again.StatusCode, other.StatusCode)
			}
		}
	}
}

// TestPrefix: below a prefix the page refers to paths with the prefix. Requests are answered with the
// prefix and without it.
func TestPrefix(t *testing.T) {
	for _, c := range []struct {
		path string
		code int
		text string
	}{
		{"/mesh/ui/", 200, `<base href="/mesh/ui/">`},
		{"/ui/s/pay", 200, `<base href="/mesh/ui/">`},
		{"/ui/", 200, `<meta name="meshhealth-build" content="v1&#34;&lt;">`},
		{"/mesh/ui/assets/worker.js", 200, "1"},
		{"/mesh/livez", 200, "alive"},
		{"/mesh/", 200, "/ui/"},
		{"/meshed/livez", 404, ""},
		{"/other/livez", 404, ""},
	} {
		resp := served(t, "/mesh", request("GET", c.path))
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != c.code || !strings.Contains(string(body), c.text) {
			t.Errorf("%s: %d %.200q", c.path, resp.StatusCode, body)
		}
	}
	for _, path := range []string{"/ui", "/mesh/ui"} {
		if to := served(t, "/mesh", request("GET", path)).Header.Get("Location"); to != "/mesh/ui/" {
			t.Errorf("%s leads to %q", path, to)
		}
	}
}

// TestEmbeddedPage: the page that is built in has the places that the server fills in.
func TestEmbeddedPage(t *testing.T) {
	text, err := fs.ReadFile(dist, "dist/"+indexName)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{rootPlace, basePlace, buildPlace} {
		if n := strings.Count(string(text), place); n != 1 {
			t.Errorf("%s has %s %d times, want once", indexName, place, n)
		}
	}
	for _, inline := range []string{"<style", "style=", "javascript:", " onclick", " onload"} {
		if strings.Contains(string(text), inline) {
			t.Errorf("%s has %s, which the Content-Security-Policy forbids", indexName, inline)
		}
	}
	for _, script := range strings.SplitAfter(string(text), "<script")[1:] {
		if !strings.Contains(strings.SplitN(script, ">", 2)[0], "src=") {
			t.Errorf("%s has a script inline, which the Content-Security-Policy forbids", indexName)
		}
	}
}

// TestOpenPage checks that the page of a coordinator at which everybody may change everything says so on each view, and
// that no other page does.
func TestOpenPage(t *testing.T) {
	for _, open := range []bool{true, false} {
		s, err := New(Config{Feed: feed.New(1, 0), Metrics: prometheus.NewRegistry(), Insecure: open})
		if err != nil {
			t.Fatal(err)
		}
		get := func(path string) string {
			w := httptest.NewRecorder()
			s.Handler(t.Context(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}).ServeHTTP(w, request("GET", path))
			return w.Body.String()
		}
		for _, path := range []string{"/ui/", "/ui/s/pay", "/ui/history"} {
			if strings.Contains(get(path), "<html lang=\"en\" data-open>") != open {
				t.Errorf("%s, open %v: %.200q", path, open, get(path))
			}
		}
		if css := get("/ui/assets/app.css"); !strings.Contains(css, ":root[data-open] body:before{content:\"Insecure: everybody who reaches this address may change everything\"") {
			t.Error("app.css has no banner for data-open")
		}
	}
}

// TestPageOff: without the page there is nothing below /ui/, and the list does not name it.
func TestPageOff(t *testing.T) {
	s, err := New(Config{Feed: feed.New(1, 0), Metrics: prometheus.NewRegistry(), NoPage: true})
	if err != nil {
		t.Fatal(err)
	}
	for path, code := range map[string]int{"/ui/": 404, "/ui": 404, "/ui/assets/app.js": 404, "/": 200} {
		w := httptest.NewRecorder()
		s.Handler(t.Context(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}).ServeHTTP(w, request("GET", path))
		if w.Code != code || strings.Contains(w.Body.String(), "/ui") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
