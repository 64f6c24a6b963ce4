package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxExcluded is the largest number of exclude parameters in one request.
const maxExcluded = 128

// httpHandler serves the HTTP pages. It renders a page for the first request after a change
// and keeps this page until the next change.
type httpHandler struct {
	pipeline  *pipeline
	renderer  renderer
	rights    func(context.Context) *access.Rights // function that returns the rights of the caller of a request
	requested func()                               // ServeHTTP calls requested for each request
	// kept has the last page of each view. Its indexes are the path, the format, and 0
	// or 1 for view.verbose and view.detailed. nil means that the page was not made yet.
	kept [numPaths][numFormats][2][2]atomic.Pointer[page]
}

// usage is the page of the path /. Answers with the status 404 contain it too.
const usage = `/livez     503: restart the process
/readyz    200: send traffic
/startupz  503: still starting
?verbose lists the checks; /readyz/NAME is one check
`

// ServeHTTP implements http.Handler.
func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.requested()
	e, check, ok := parsePath(r.URL.Path)
	isRoot := strings.Trim(r.URL.Path, "/") == ""
	switch {
	case !ok && !isRoot:
		http.Error(w, "this path is not served; allowed:\n"+usage, http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
	case isRoot:
		header := w.Header()
		header["Content-Type"], header["Cache-Control"], header["X-Content-Type-Options"] = contentTypes[asText], noStore, noSniff
		_, _ = io.WriteString(w, usage)
	default:
		h.servePath(w, r, e, check)
	}
}

// servePath answers a request for a path. If check is not empty, it answers with
// the page of this check.
func (h *httpHandler) servePath(w http.ResponseWriter, r *http.Request, e httpPath, check string) {
	detail := h.rights(r.Context()).Detail(access.Of(health.ID{Service: h.renderer.service}))
	v := view{path: e, format: formatOf(r.Header.Get("Accept")), detailed: detail >= access.Reason}
	var exclude []string
	if r.URL.RawQuery != "" {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			http.Error(w, "the query: "+wire.Clean(err.Error()), http.StatusBadRequest)
			return
		}
		v.verbose, exclude = query.Has("verbose"), query["exclude"]
		if len(exclude) > maxExcluded {
			http.Error(w, fmt.Sprintf("exclude: is given %d times; allowed: at most %d", len(exclude), maxExcluded), http.StatusBadRequest)
			return
		}
	}
	switch {
	case check != "":
		h.serveCheck(w, r, v, check)
	case len(exclude) > 0:
		h.renderer.render(v, h.answer(v, exclude)).write(w, r)
	default:
		h.page(v).write(w, r)
	}
}

// parsePath parses the paths /PATH and /PATH/CHECK. check is empty if the path has
// no check. ok is false if there is no such path.
func parsePath(path string) (e httpPath, check string, ok bool) {
	name, check, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for e, n := range pathNames {
		if n == name {
			return httpPath(e), check, true
		}
	}
	return 0, "", false
}

// serveCheck answers a request with the page of the check called name.
func (h *httpHandler) serveCheck(w http.ResponseWriter, r *http.Request, v view, name string) {
	h.pipeline.mu.Lock()
	t := h.pipeline.checks.tasks[name]
	if t == nil || !v.path.shows(t.rules.kind) {
		h.pipeline.mu.Unlock()
		http.Error(w, "no check of /"+pathNames[v.path]+" has this name", http.StatusNotFound)
		return
	}
	one := answer{status: t.machine.Status(), cause: t.machine.Cause(), checks: []health.CheckState{t.state()}}
	if v.detailed {
		one.runs = t.pastRuns()
	}
	h.pipeline.mu.Unlock()
	v.verbose = true
	h.renderer.render(v, &one).write(w, r)
}

// page returns the page for a view. It renders the page again if a status or a check on the
// page has changed since it was rendered.
func (h *httpHandler) page(v view) *page {
	kept := &h.kept[v.path][v.format][index(v.verbose)][index(v.detailed)]
	// The version of the page is read before its content. So if something changes in between, the
	// page is rendered again for the next request.
	version := h.version(&v)
	if p := kept.Load(); p != nil && p.version == version {
		return p
	}
	p := h.renderer.render(v, h.answer(v, nil))
	p.version = version
	kept.Store(p)
	return p
}

func (h *httpHandler) version(v *view) uint64 {
	if v.verbose {
		return h.pipeline.publisher.pages.checks.Load()
	}
	return h.pipeline.publisher.pages.statuses.Load()
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// answer returns the content of the page of v, as if the checks in exclude did not exist.
// It reads the status first and the checks of a verbose page later. So the status may be
// older than the checks on the same page.
func (h *httpHandler) answer(v view, exclude []string) *answer {
	a := &answer{}
	excluded := h.evaluate(v.path, exclude, a)
	if !v.detailed && strings.HasPrefix(a.note, runRefused) {
		a.note = runRefused // only this first part of the note, because the rest names checks that the caller may not see
	}
	if v.verbose {
		h.pipeline.forEachCheck(func(t *task) {
			if v.path.shows(t.rules.kind) && !excluded[t] {
				a.checks = append(a.checks, t.state())
			}
		})
	}
	return a
}

// evaluate sets the status, the note and the unknown names in the answer a. It returns the
// tasks of the checks that exclude names. It computes the status from the numbers of checks
// with each status, so it holds the lock for a short time only.
func (h *httpHandler) evaluate(e httpPath, exclude []string, a *answer) (excluded map[*task]bool) {
	p := h.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	p.countChanged()
	a.note = p.judgement.noRunNote
	excluded, a.unknown = p.checks.find(exclude, func(t *task) bool { return e.shows(t.rules.kind) })
	s := serviceOf(e, &p.judgement)
	counts := s.countsWithout(excluded)
	if e != readyz {
		a.status, _ = p.judgement.statusOf(s, counts)
		return excluded
	}
	v := p.judgement.verdictWithout(s, counts, excluded)
	a.status, a.cause = v.status, v.cause
	return excluded
}

// serviceOf returns the service whose status is the answer of the path.
func serviceOf(e httpPath, j *judgement) *servedService {
	switch e {
	case livez:
		return &j.byKind[Liveness]
	case startupz:
		return &j.byKind[Startup]
	}
	return j.own()
}

// write answers a request with the page.
func (p *page) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["Content-Length"] = contentTypes[p.view.format], noStore, p.length
	h["X-Content-Type-Options"] = noSniff
	if p.envoy != "" {
		h[p.envoy] = envoyTrue
	}
	w.WriteHeader(p.code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(p.body)
	}
}

// All answers share these header values, so that an answer allocates no memory for them.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}

	envoyTrue = []string{"true"}
)
