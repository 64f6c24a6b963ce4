package web

import (
	"context"
	"fmt"
	"net/http"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/httprpc"
)

// The page / lists the paths that are served. The answer for an unknown path has the list too.
const (
	listing = `/livez     200: the process answers
/readyz    200: the coordinator serves; 503: it does not, or stops
/metrics   for Prometheus
`
	listingSite = `/ui/       the page for people
`
)

// pages serves the HTTP pages of a coordinator, and the methods that are served over HTTP.
type pages struct {
	feed    *feed.Feed
	policy  access.Policy
	metrics http.Handler
	methods []httprpc.Method
	site    *site // nil if the page for people is off
}

// area is a group of routes with the same protection against other web pages.
type area int

// The areas.
const (
	// machines is for programs that read the state of the coordinator.
	machines area = iota
	// people is for the page in a browser.
	people
	// calls is for methods. The methods ask the access policy, because only they know the names.
	calls
)

// route is one HTTP page or method. A page is served only if the access policy allows the action verb
// with the given name.
type route struct {
	pattern string // pattern for http.ServeMux
	area    area
	verb    access.Verb
	name    access.Name
	page    http.HandlerFunc
}

// routes returns all routes. When ctx has ended, /readyz says that the coordinator is DRAINING.
func (p *pages) routes(ctx context.Context) []route {
	everything, self := access.Of(health.ID{Service: health.MeshName}), access.Name{}
	all := []route{
		{"GET /metrics", machines, access.Scrape, everything, p.metrics.ServeHTTP},
		{"GET /livez", machines, access.Read, self, alive},
		{"GET /readyz", machines, access.Read, self, func(w http.ResponseWriter, _ *http.Request) { p.ready(ctx, w) }},
		{"GET /{$}", machines, access.Read, self, p.list},
		{"GET /", machines, access.Read, self, p.notFound},
		{"POST /{service}/{method}", calls, access.Read, self, unknownMethod},
	}
	if p.site != nil {
		all = append(all,
			route{"GET /ui", people, access.Read, self, p.site.enter},
			route{"GET /ui/{view...}", people, access.Read, self, p.site.index},
			route{"GET /ui/assets/{name}", people, access.Read, self, p.site.asset},
		)
	}
	for _, m := range p.methods {
		all = append(all, route{"POST " + m.Name, calls, access.Read, self, call(m)})
	}
	return all
}

// mux returns the handler of all routes. Routes are registered only here, so that each page asks the
// access policy.
func (p *pages) mux(ctx context.Context, g *guard) *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range p.routes(ctx) {
		mux.HandleFunc(r.pattern, p.protected(g, r))
	}
	return mux
}

// protected returns the handler of a route, with the checks of its area.
func (p *pages) protected(g *guard, r route) http.HandlerFunc {
	switch r.area {
	case calls:
		return g.callsOnly(r.page)
	case people:
		return secured(g.peopleOnly(p.checked(r)))
	}
	return g.machinesOnly(p.checked(r))
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

func (p *pages) listing() string {
	if p.site == nil {
		return listing
	}
	return listing + listingSite
}

func (p *pages) list(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, p.listing()) }

// notFound answers an unknown path, such as /healthz. /healthz has no page, because Kubernetes
// manifests often use it for liveness. With the answers of /readyz, Kubernetes would then restart
// healthy processes.
func (p *pages) notFound(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "this path is not served; allowed:\n"+p.listing(), http.StatusNotFound)
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
