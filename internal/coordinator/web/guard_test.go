package web

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/httprpc"
)

const methodName = "/test.Service/Read"

// guarded returns the status codes of the page, of a call and of /livez for requests with these
// headers. The server listens on an address.
func guarded(t *testing.T, cfg Config, at string, edit func(*http.Request)) (codes [3]int, text string) {
	t.Helper()
	cfg.Feed, cfg.Metrics = feed.New(1, 0), prometheus.NewRegistry()
	cfg.Methods = []httprpc.Method{{Name: methodName, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })}}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler(t.Context(), net.TCPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	for i, r := range []*http.Request{
		httptest.NewRequest("GET", "/ui/s/pay", nil), httptest.NewRequest("POST", methodName, nil), httptest.NewRequest("GET", "/livez", nil),
	} {
		r.Host = "localhost:7071"
		edit(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if codes[i] = w.Code; w.Code != 200 {
			text += w.Body.String()
		}
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("the answer has %s", name)
			}
		}
	}
	return codes, text
}

// TestGuard: what other web pages in the browser of a user can cause is refused.
func TestGuard(t *testing.T) {
	const local, public = "127.0.0.1:7071", "192.0.2.1:7071"
	hosts := Config{Hosts: []string{"status.example"}}
	insecure := Config{Insecure: true}
	for _, c := range []struct {
		what         string
		cfg          Config
		at           string
		host, origin string
		site         string
		tls          bool
		page, call   int
		livez        int
		says         string
	}{
		{"no browser", Config{}, local, "", "", "", false, 200, 200, 200, ""},
		{"the page", Config{}, local, "", "http://localhost:7071", "same-origin", false, 200, 200, 200, ""},
		{"the page at an address", Config{}, local, "127.0.0.1:7071", "http://127.0.0.1:7071", "same-origin", false, 200, 200, 200, ""},
		{"the page at an IPv6 address", Config{}, local, "[::1]:7071", "http://[::1]:7071", "same-origin", false, 200, 200, 200, ""},
		{"typed by the user", Config{}, local, "", "", "none", false, 200, 200, 200, ""},
		{"a link", Config{}, local, "", "", "cross-site", false, 200, 403, 200, "Sec-Fetch-Site: "},
		{"another port", Config{}, local, "", "http://localhost:3000", "same-site", false, 200, 403, 200, "Origin: "},
		{"another site", Config{}, local, "", "https://evil.example", "cross-site", false, 200, 403, 200, "Origin: "},
		{"another site, old browser", Config{}, local, "", "https://evil.example", "", false, 200, 403, 200, "Origin: "},
		{"a file", Config{}, local, "", "null", "cross-site", false, 200, 403, 200, "Origin: "},
		{"no origin", Config{}, local, "", "://", "", false, 200, 403, 200, "Origin: "},
		{"rebinding", Config{}, local, "evil.example:7071", "http://evil.example:7071", "same-origin", false, 421, 421, 421, "Host: "},
		{"rebinding beyond loopback", insecure, public, "evil.example", "http://evil.example", "same-origin", false, 421, 421, 200, "Host: "},
		{"a name of the configuration", hosts, local, "Status.example", "http://status.example", "same-origin", false, 200, 200, 200, ""},
		{"a proxy that sets Host", hosts, local, "127.0.0.1:7071", "https://status.example", "same-origin", false, 200, 200, 200, ""},
		{"below a name", hosts, local, "a.status.example", "", "", false, 421, 421, 421, "Host: "},
		{"insecure", insecure, public, "192.0.2.1:7071", "http://192.0.2.1:7071", "same-origin", false, 200, 200, 200, ""},
		{"plaintext beyond loopback", Config{}, public, "192.0.2.1:7071", "", "", false, 403, 403, 200, "http_tls"},
		{"plaintext, all addresses", Config{}, "[::]:7071", "", "", "", false, 403, 403, 200, "http_tls"},
		{"TLS", Config{}, public, "status.example", "https://status.example", "same-origin", true, 200, 200, 200, ""},
		{"TLS, another site", Config{}, public, "status.example", "https://evil.example", "cross-site", true, 200, 403, 200, "Origin: "},
	} {
		codes, text := guarded(t, c.cfg, c.at, func(r *http.Request) {
			if c.host != "" {
				r.Host = c.host
			}
			for name, value := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
		})
		if want := [3]int{c.page, c.call, c.livez}; codes != want || !strings.Contains(text, c.says) {
			t.Errorf("%s: page, call and /livez answer %v, want %v: %s", c.what, codes, want, text)
		}
	}
}

// TestUnknownMethods: a method that is not served answers with an error of the protocol Connect. Other
// HTTP methods on the path of a call do not reach the call.
func TestUnknownMethods(t *testing.T) {
	for _, c := range []struct {
		method, path string
		code         int
		text         string
	}{
		{"POST", "/meshhealth.v1.RegistryService/Register", 404, `"code":"unimplemented"`},
		{"POST", "/test.Service/Other", 404, `"code":"unimplemented"`},
		{"GET", methodName, 404, "not served"},
		{"OPTIONS", methodName, 405, ""},
		{"PUT", methodName, 405, ""},
	} {
		codes, text := guarded(t, Config{}, "127.0.0.1:7071", func(r *http.Request) {
			if r.Method == "POST" {
				r.Method, r.URL.Path = c.method, c.path
			}
		})
		if codes[1] != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s %s: %d %s", c.method, c.path, codes[1], text)
		}
	}
}
