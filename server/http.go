package server

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// endpoint is one of the three questions an orchestrator asks.
type endpoint uint8

const (
	livez endpoint = iota
	readyz
	startupz
	numEndpoints
)

var endpointNames = [numEndpoints]string{"livez", "readyz", "startupz"}

// has reports whether a check is one of those behind the endpoint.
func (e endpoint) has(k Kind) bool {
	switch e {
	case livez:
		return k == Liveness
	case startupz:
		return k == Startup
	}
	return k != Liveness
}

// Handler serves GET and HEAD of
//
//	/livez     503 if a liveness check fails: restart the process
//	/readyz    200 if the service should get traffic
//	/startupz  503 until every startup check has passed once
//
// and of one check of each, such as /readyz/db, with its last runs for who Details
// allows. ?verbose lists the checks,
// ?exclude=NAME leaves one out and may be given several times. The answer is
// text; with Accept: application/json or application/health+json it is JSON, the
// second as draft-inadarei-api-health-check has it. Reasons are for who Details
// allows.
//
// Pages are made when something has changed, never for a request, and a
// request never runs a check. All other paths are 404.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serveHTTP) }

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	e, check, ok := parsePath(r.URL.Path)
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
		return
	}
	v := view{endpoint: e, format: formatOf(r.Header.Get("Accept")), detailed: s.detailed(r.Context())}
	var excluded []string
	if r.URL.RawQuery != "" {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			http.Error(w, "the query: "+wire.Clean(err.Error()), http.StatusBadRequest)
			return
		}
		v.verbose, excluded = query.Has("verbose"), query["exclude"]
	}
	switch {
	case check != "":
		s.serveCheck(w, r, v, check)
	case len(excluded) > 0:
		s.except(v, excluded).write(w, r)
	default:
		s.page(v).write(w, r)
	}
}

// parsePath reads /ENDPOINT or /ENDPOINT/CHECK.
func parsePath(path string) (e endpoint, check string, ok bool) {
	name, check, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for e, n := range endpointNames {
		if n == name {
			return endpoint(e), check, true
		}
	}
	return 0, "", false
}

func (s *Server) detailed(ctx context.Context) bool {
	return s.cfg.Details != nil && s.cfg.Details(ctx)
}

// code is the HTTP status of an endpoint.
func (s *Server) code(e endpoint, status health.Status) int {
	switch {
	case e == livez && status != health.NotServing:
		return http.StatusOK
	case e == readyz && status == health.Degraded && s.cfg.DegradedHTTP != 0:
		return s.cfg.DegradedHTTP
	}
	return status.HTTP()
}

// write answers with a page.
func (p *page) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["Content-Length"] = contentTypes[p.view.format], noStore, p.length
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(p.code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(p.body)
	}
}

// Shared, so that an answer does not make them anew.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

func length(body []byte) []string { return []string{strconv.Itoa(len(body))} }

// serveCheck answers about one check.
func (s *Server) serveCheck(w http.ResponseWriter, r *http.Request, v view, name string) {
	s.mu.Lock()
	t := s.tasks[name]
	if t == nil || !v.endpoint.has(t.rules.kind) {
		s.mu.Unlock()
		http.Error(w, "no check of /"+endpointNames[v.endpoint]+" has this name", http.StatusNotFound)
		return
	}
	one := answer{status: t.machine.Status(), cause: t.machine.Cause(), checks: []health.CheckState{t.state()}}
	if v.detailed {
		one.runs = t.history.all()
	}
	s.mu.Unlock()
	v.verbose = true
	s.render(v, &one).write(w, r)
}
