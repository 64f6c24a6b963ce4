package web

import (
	"context"
	"fmt"
	"net/http"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
)

// listing is the text of the page /. The answer for an unknown path contains this text too.
const listing = `/livez     200: the process answers
/readyz    200: the coordinator serves; 503: it does not, or stops
/metrics   for Prometheus
`

// pages serves the HTTP pages of a coordinator.
type pages struct {
	feed    *feed.Feed
	policy  access.Policy
	metrics http.Handler
}

// route is one HTTP page. It is served only if the access policy allows the action verb with the
// given name.
type route struct {
	pattern string // pattern for http.ServeMux
	verb    access.Verb
	name    access.Name
	page    http.HandlerFunc
}

// routes returns all pages. When ctx has ended, /readyz says that the coordinator is
// DRAINING.
func (p *pages) routes(ctx context.Context) []route {
	everything := access.Of(health.ID{Service: health.MeshName})
	return []route{
		{"GET /metrics", access.Scrape, everything, p.metrics.ServeHTTP},
		{"GET /livez", access.Read, access.Name{}, alive},
		{"GET /readyz", access.Read, access.Name{}, func(w http.ResponseWriter, _ *http.Request) { p.ready(ctx, w) }},
		{"GET /{$}", access.Read, access.Name{}, list},
		{"GET /", access.Read, access.Name{}, notFound},
	}
}

// mux returns the handler of all pages. Pages are registered only here, so that each page asks
// the access policy.
func (p *pages) mux(ctx context.Context) *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range p.routes(ctx) {
		mux.HandleFunc(r.pattern, p.checked(r))
	}
	return mux
}

// checked returns a handler that asks the access policy before it serves a page. HTTP callers are
// not authenticated, so the policy decides about a caller without an identity.
func (p *pages) checked(r route) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		caller := access.Caller{Policy: p.policy}
		if _, err := caller.Check(r.verb, r.name); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		r.page(w, req)
	}
}

func alive(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "alive") }

func list(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, listing) }

// notFound answers an unknown path, such as /healthz. /healthz has no page, because Kubernetes
// manifests often use it for liveness. With the answers of /readyz, Kubernetes would then restart
// healthy processes.
func notFound(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "this path is not served; allowed:\n"+listing, http.StatusNotFound)
}

// ready writes the status of the coordinator and its cause. It omits the reason, because the reason
// may contain paths of the store, and HTTP callers must not see details.
func (p *pages) ready(ctx context.Context, w http.ResponseWriter) {
	self := health.State{Status: health.Draining, Cause: health.CauseDraining}
	if e, ok := p.feed.Get(health.ID{}); ok && ctx.Err() == nil {
		self = e.State
	}
	w.WriteHeader(self.Status.HTTP())
	_, _ = fmt.Fprintln(w, self.Status, self.Cause)
}
