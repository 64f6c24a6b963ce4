package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/httprpc"
)

// TestRoutes: these routes are served, and no others. Of those for machines, only /metrics has names of
// services. The routes for people have no content of a mesh. Each call asks the access policy.
func TestRoutes(t *testing.T) {
	want := map[string]area{
		"GET /metrics": machines, "GET /livez": machines, "GET /readyz": machines, "GET /{$}": machines, "GET /": machines,
		"GET /ui": people, "GET /ui/{view...}": people, "GET /ui/assets/{name}": people,
		"POST /{service}/{method}": calls, "POST /test.Service/Method": calls,
	}
	p := pages{metrics: http.NotFoundHandler(), site: &site{}, methods: []httprpc.Method{{Name: "/test.Service/Method"}}}
	got := map[string]area{}
	for _, r := range p.routes(t.Context()) {
		got[r.pattern] = r.area
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v are served, want %v", got, want)
	}
}

// TestMetricsAskThePolicy: over TLS, only a caller that may read everything gets the metrics. The policy
// learns who calls from the connection and the header Authorization, and from no other header.
func TestMetricsAskThePolicy(t *testing.T) {
	for _, c := range []struct {
		what    string
		tls     bool
		refusal error
		code    int
	}{
		{"allowed", true, nil, http.StatusOK},
		{"refused", true, errors.New("not allowed: no rule"), http.StatusForbidden},
		{"plaintext", false, errors.New("not allowed: no rule"), http.StatusOK},
	} {
		var asked []string
		s, err := New(Config{Feed: feed.New(1, 0), Metrics: prometheus.NewRegistry(), MayScrape: func(ctx context.Context) error {
			p, _ := peer.FromContext(ctx)
			md, _ := metadata.FromIncomingContext(ctx)
			asked = append(asked, fmt.Sprint(p.AuthInfo.AuthType(), map[string][]string(md)))
			return c.refusal
		}})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "http://localhost/metrics", nil)
		for name, value := range map[string]string{
			"Authorization": "Bearer x", "X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "X-Real-Ip": "127.0.0.1",
			"User-Agent": "meshhealth", "X-Forwarded-Client-Cert": "URI=spiffe://d/x", "Cookie": "token=x", "Proxy-Authorization": "Bearer x",
		} {
			r.Header.Set(name, value)
		}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		s.Handler(t.Context(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7071}).ServeHTTP(w, r)
		if w.Code != c.code || c.code == http.StatusForbidden && w.Body.String() != c.refusal.Error()+"\n" {
			t.Errorf("%s: %d %s", c.what, w.Code, w.Body)
		}
		if want := "tlsmap[authorization:[Bearer x]]"; c.tls && (len(asked) != 1 || asked[0] != want) || !c.tls && len(asked) > 0 {
			t.Errorf("%s: the policy is asked %q", c.what, asked)
		}
	}
}

// TestPagesAreRegisteredOnce: no other code of the package registers a page, since a page
// that routes does not list would not ask the policy.
func TestPagesAreRegisteredOnce(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(text), ".HandleFunc(") + strings.Count(string(text), ".Handle(")
	}
	if n != 1 {
		t.Errorf("pages are registered in %d places, want 1", n)
	}
}
