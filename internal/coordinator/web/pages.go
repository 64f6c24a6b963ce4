package web

import (
	"context"
	"fmt"
	"net/http"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
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
	feed      *feed.Feed
	mayScrape func(context.Context) error // see Config
	metrics   http.Handler
	methods   []httprpc.Method
	site      *site // nil if the page for people is off
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

// route is one HTTP page or method.
type route struct {
	pattern string // pattern for http.ServeMux
	area    area
	page    http.HandlerFunc
}

// routes returns all routes. When ctx has ended, /readyz says that the coordinator is DRAINING.
func (p *pages) routes(ctx context.Context) []route {
	all := []route{
		{"GET /metrics", machines, p.scrape},
		{"GET /livez", machines, alive},
		{"GET /readyz", machines, func(w http.ResponseWriter, _ *http.Request) { p.ready(ctx, w) }},
		{"GET /{$}", machines, p.list},
		{"GET /", machines, p.notFound},
		{"POST /{service}/{method}", calls, unknownMethod},
	}
	if p.site != nil {
		all = append(all,
			route{"GET /ui", people, p.site.enter},
			route{"GET /ui/{view...}", people, p.site.index},
			route{"GET /ui/assets/{name}", people, p.site.asset},
		)
	}
	for _, m := range p.methods {
		all = append(all, route{"POST " + m.Name, calls, call(m)})
	}
	return all
}

// mux returns the handler of all routes.
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
		return secured(g.peopleOnly(r.page))
	}
	return g.machinesOnly(r.page)
}

// scrape serves the metrics. They name services and instances, so the access policy decides who may read
// them. Nobody has an identity on a listener without TLS, so such a listener shows them to everybody.
func (p *pages) scrape(w http.ResponseWriter, r *http.Request) {
	if r.TLS != nil && p.mayScrape != nil {
		if err := p.mayScrape(callerContext(r)); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
	}
	p.metrics.ServeHTTP(w, r)
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
