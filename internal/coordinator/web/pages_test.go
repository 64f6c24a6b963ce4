package web

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
)

// recorder is a policy that refuses or allows everything, and counts the questions.
type recorder struct {
	allows bool
	asked  []string
	who    access.Principal
}

func (r *recorder) Decide(who access.Principal, verb access.Verb, name access.Name) access.Decision {
	r.who, r.asked = who, append(r.asked, verb.String()+" "+name.String())
	return access.Decision{Allowed: r.allows}
}

// get requests a path from a server with a policy.
func get(t *testing.T, policy access.Policy, path string) *httptest.ResponseRecorder {
	t.Helper()
	s, err := New(Config{Feed: feed.New(1, 0), Metrics: prometheus.NewRegistry(), Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Handler(t.Context(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7071}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
	return w
}

// TestEveryRouteAsksThePolicy: each page asks the policy once, for a caller of whom nothing
// is known, and answers 403 with the refusal.
func TestEveryRouteAsksThePolicy(t *testing.T) {
	p := pages{metrics: http.NotFoundHandler()}
	routes := p.routes(t.Context())
	if len(routes) < 5 {
		t.Fatalf("%d routes", len(routes))
	}
	for _, r := range routes {
		if r.area == calls {
			continue // see TestHTTPMethodsAskThePolicy of package api
		}
		path := strings.NewReplacer("GET ", "", "{$}", "", "{view...}", "s/pay", "{name}", indexName).Replace(r.pattern)
		if r.pattern == "GET /" {
			path = "/unknown"
		}
		want := r.verb.String() + " " + r.name.String()
		for _, allows := range []bool{false, true} {
			policy := &recorder{allows: allows}
			w := get(t, policy, path)
			if len(policy.asked) != 1 || policy.asked[0] != want || policy.who != (access.Principal{}) {
				t.Errorf("%s: asks %q for %+v, want %q", r.pattern, policy.asked, policy.who, want)
			}
			refused := w.Code == http.StatusForbidden && w.Body.String() == "not allowed: to "+want+"\n"
			if refused == allows {
				t.Errorf("%s, allowed %v: %d %s", r.pattern, allows, w.Code, w.Body)
			}
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
