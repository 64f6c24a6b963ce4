package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// httpPath is one of the three HTTP paths that an orchestrator requests.
type httpPath uint8

const (
	livez httpPath = iota
	readyz
	startupz
	numPaths
)

var pathNames = [numPaths]string{"livez", "readyz", "startupz"}

// shows reports whether the path shows checks of a kind.
func (e httpPath) shows(k Kind) bool {
	switch e {
	case livez:
		return k == Liveness
	case startupz:
		return k == Startup
	}
	return k != Liveness
}

// format is the encoding of a page.
type format uint8

const (
	asText format = iota
	asJSON
	asHealthJSON
	numFormats
)

var contentTypes = [numFormats][]string{
	{"text/plain; charset=utf-8"}, {"application/json"}, {"application/health+json"},
}

// formatOf returns the format for the value of an Accept header. It ignores weights.
func formatOf(accept string) format {
	switch {
	case accept == "":
		return asText
	case strings.Contains(accept, "application/health+json"):
		return asHealthJSON
	case strings.Contains(accept, "application/json"):
		return asJSON
	}
	return asText
}

// view identifies a page: what is shown, how, and to whom. If no check is excluded, requests
// with equal views get the same page.
type view struct {
	path     httpPath
	format   format
	verbose  bool // true if the page lists the checks
	detailed bool // true if the caller may see reasons
}

// answer is the content of a page.
type answer struct {
	status health.Status
	cause  health.Cause
	note   string // text that says why no check runs; empty: checks run; all callers may see it
	checks []health.CheckState
	runs   []PastRun // last runs of the check, if the page is about one check
	// unknown has the names in the query parameter exclude that no check has.
	unknown []string
}

// page is an encoded answer.
type page struct {
	view    view
	version uint64 // value of the page's counter in pageVersions before the page was rendered
	code    int    // HTTP status
	body    []byte
	length  []string // value of the header Content-Length
	envoy   string   // canonical name of the header for Envoy, see envoyHeader; empty: none
}

// renderer encodes answers as pages.
type renderer struct {
	service, build string // Config.Service and Config.Build
	degradedCode   int    // HTTP status of /readyz while DEGRADED; 0: the default
}

// render encodes the answer a as a page. If the view is not detailed, it first removes the
// reasons of checks from the answer.
func (r *renderer) render(v view, a *answer) *page {
	p := &page{view: v, code: r.code(v.path, a.status)}
	p.envoy = envoyHeader(v.path, a.status, p.code)
	if !v.detailed {
		for i := range a.checks {
			a.checks[i].Reason = ""
		}
	}
	switch v.format {
	case asJSON:
		p.body = r.plainJSON(a)
	case asHealthJSON:
		p.body = r.healthJSON(a, p.code)
	default:
		p.body = text(v, a, p.code)
	}
	p.length = []string{strconv.Itoa(len(p.body))}
	return p
}

// code returns the HTTP status with which a path answers, for the health status status.
func (r *renderer) code(e httpPath, status health.Status) int {
	switch {
	case e == livez && status != health.NotServing:
		return http.StatusOK
	case e == readyz && status == health.Degraded && r.degradedCode != 0:
		return r.degradedCode
	}
	return status.HTTP()
}

// text returns the page as text. It has the status and, if the view is verbose, a line for
// each check in the form that the servers of Kubernetes use.
func text(v view, a *answer, code int) []byte {
	var b bytes.Buffer
	status := a.status.String()
	if a.note != "" {
		status += ": " + wire.Clean(a.note)
	}
	if !v.verbose {
		fmt.Fprintln(&b, status)
		return b.Bytes()
	}
	for i := range a.checks {
		b.WriteString(checkLine(&a.checks[i]))
	}
	for _, r := range a.runs {
		line := fmt.Sprintf("    %s %v %v: %s", r.At.UTC().Format(time.RFC3339), r.Took, r.Result, r.Reason)
		b.WriteString(strings.TrimSuffix(line, ": ") + "\n")
	}
	for _, name := range a.unknown {
		fmt.Fprintf(&b, "warn: no check to exclude is called %q\n", wire.CleanTo(name, wire.MaxName))
	}
	passed := "passed"
	if code >= http.StatusBadRequest {
		passed = "failed"
	}
	fmt.Fprintf(&b, "%s %s: %s\n", pathNames[v.path], passed, status)
	return b.Bytes()
}

func checkLine(c *health.CheckState) string {
	mark, rest := "[-]", " "+c.Cause.String()
	switch c.Status {
	case health.Serving:
		mark, rest = "[+]", " ok"
	case health.Degraded:
		mark = "[!]"
	}
	if c.Reason != "" {
		rest += ": " + c.Reason
	}
	return mark + c.Name + rest + "\n"
}

type jsonAnswer struct {
	Service string      `json:"service"`
	Status  string      `json:"status"`
	Cause   string      `json:"cause,omitempty"`
	Reason  string      `json:"reason,omitempty"` // answer.note, which says why no check runs
	Checks  []jsonCheck `json:"checks,omitempty"`
	Runs    []jsonRun   `json:"runs,omitempty"`
}

type jsonCheck struct {
	Name   string   `json:"name"`
	Status string   `json:"status"`
	Cause  string   `json:"cause,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Value  *float64 `json:"value,omitempty"`
	Unit   string   `json:"unit,omitempty"`
}

type jsonRun struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	Result  string    `json:"result"`
	Reason  string    `json:"reason,omitempty"`
}

func (r *renderer) plainJSON(a *answer) []byte {
	out := jsonAnswer{Service: r.service, Status: a.status.String(), Cause: a.cause.String(), Reason: wire.Clean(a.note)}
	for i := range a.checks {
		c := &a.checks[i]
		one := jsonCheck{Name: c.Name, Status: c.Status.String(), Cause: c.Cause.String(), Reason: c.Reason}
		one.Value, one.Unit = jsonValue(c)
		out.Checks = append(out.Checks, one)
	}
	for _, r := range a.runs {
		out.Runs = append(out.Runs, jsonRun{r.At.UTC(), r.Took.Seconds(), r.Result.String(), r.Reason})
	}
	return encodeJSON(out)
}

// healthAnswer is the JSON object of draft-inadarei-api-health-check-06, section 3.
type healthAnswer struct {
	Status    string                   `json:"status"`
	ReleaseID string                   `json:"releaseId,omitempty"`
	ServiceID string                   `json:"serviceId"`
	Output    string                   `json:"output,omitempty"`
	Checks    map[string][]healthCheck `json:"checks,omitempty"`
}

// healthCheck is the JSON object of draft-inadarei-api-health-check-06, section 4.
type healthCheck struct {
	Status string   `json:"status"`
	Output string   `json:"output,omitempty"`
	Value  *float64 `json:"observedValue,omitempty"`
	Unit   string   `json:"observedUnit,omitempty"`
}

// healthJSON encodes the answer a as a healthAnswer. code is the HTTP status of the page.
func (r *renderer) healthJSON(a *answer, code int) []byte {
	out := healthAnswer{Status: healthJSONStatus(a.status, code), ReleaseID: r.build, ServiceID: r.service}
	if out.Status != "pass" {
		out.Output = strings.TrimSuffix(a.status.String()+": "+wire.Clean(a.note), ": ")
	}
	for i := range a.checks {
		c := &a.checks[i]
		one := healthCheck{Status: healthJSONStatus(c.Status, c.Status.HTTP())}
		if one.Status != "pass" {
			one.Output = strings.TrimSuffix(c.Cause.String()+": "+c.Reason, ": ")
		}
		one.Value, one.Unit = jsonValue(c)
		if out.Checks == nil {
			out.Checks = map[string][]healthCheck{}
		}
		out.Checks[c.Name] = []healthCheck{one}
	}
	return encodeJSON(out)
}

// healthJSONStatus returns the value of the field status of healthAnswer and healthCheck.
// The value agrees with the HTTP status code, as the IETF draft of application/health+json
// requires.
func healthJSONStatus(s health.Status, code int) string {
	switch {
	case code >= http.StatusBadRequest:
		return "fail"
	case s == health.Serving:
		return "pass"
	}
	return "warn"
}

// jsonValue returns the value and the unit of a check. It returns nil and "" if the check
// has no value, or if JSON cannot express the value.
func jsonValue(c *health.CheckState) (value *float64, unit string) {
	if !c.HasValue || math.IsNaN(c.Value) || math.IsInf(c.Value, 0) {
		return nil, ""
	}
	return &c.Value, c.Unit
}

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // Marshal does not fail for the types of this file
	}
	return append(b, '\n')
}

// Headers that Envoy reads, in the form in which net/http stores them.
const (
	headerDegraded      = "X-Envoy-Degraded"
	headerImmediateFail = "X-Envoy-Immediate-Health-Check-Fail"
)

// envoyHeader returns the header that a page has for the HTTP health checker of Envoy, or "".
// Only /readyz says something about traffic.
//
// Envoy takes an instance with headerDegraded as degraded. It takes an instance with a code that
// it does not expect as unhealthy. With headerImmediateFail, Envoy also excludes the instance from
// the number of instances by which it decides whether to ignore health. This is right for an
// instance that is out on purpose or has failed. UNKNOWN and STARTING are no such statements.
func envoyHeader(e httpPath, status health.Status, code int) string {
	if e != readyz {
		return ""
	}
	switch status {
	case health.Degraded:
		if code < http.StatusBadRequest {
			return headerDegraded
		}
	case health.NotServing, health.Draining, health.Maintenance:
		return headerImmediateFail
	}
	return ""
}
