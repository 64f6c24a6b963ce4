package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// format is how an answer is written.
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

// formatOf reads an Accept header. Weights are not looked at: whoever names one
// of ours wants it.
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

func (s *Server) render(v view, a *answer) *page {
	p := &page{view: v, code: s.code(v.endpoint, a.status)}
	if !v.detailed {
		for i := range a.checks {
			a.checks[i].Reason = ""
		}
	}
	switch v.format {
	case asJSON:
		p.body = s.plainJSON(v, a)
	case asHealthJSON:
		p.body = s.healthJSON(v, a)
	default:
		p.body = text(v, a, p.code)
	}
	p.length = length(p.body)
	return p
}

// text is one word, and with ?verbose a line for each check, as Kubernetes'
// own servers write them.
func text(v view, a *answer, code int) []byte {
	var b bytes.Buffer
	if !v.verbose {
		fmt.Fprintln(&b, a.status)
		return b.Bytes()
	}
	for i := range a.checks {
		c := &a.checks[i]
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
		b.WriteString(mark + c.Name + rest + "\n")
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
	fmt.Fprintf(&b, "%s %s: %s\n", endpointNames[v.endpoint], passed, a.status)
	return b.Bytes()
}

type jsonAnswer struct {
	Service string      `json:"service"`
	Status  string      `json:"status"`
	Cause   string      `json:"cause,omitempty"`
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

// jsonRun is one of the last runs of a check.
type jsonRun struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	Result  string    `json:"result"`
	Reason  string    `json:"reason,omitempty"`
}

func (s *Server) plainJSON(_ view, a *answer) []byte {
	out := jsonAnswer{Service: s.cfg.Service, Status: a.status.String(), Cause: a.cause.String()}
	for i := range a.checks {
		c := &a.checks[i]
		one := jsonCheck{Name: c.Name, Status: c.Status.String(), Cause: c.Cause.String(), Reason: c.Reason}
		one.Value, one.Unit = observed(c)
		out.Checks = append(out.Checks, one)
	}
	for _, r := range a.runs {
		out.Runs = append(out.Runs, jsonRun{r.At.UTC(), r.Took.Seconds(), r.Result.String(), r.Reason})
	}
	return encodeJSON(out)
}

// draftAnswer and draftCheck are of draft-inadarei-api-health-check-06, §3 and
// §4.
type draftAnswer struct {
	Status    string                  `json:"status"`
	ReleaseID string                  `json:"releaseId,omitempty"`
	ServiceID string                  `json:"serviceId"`
	Output    string                  `json:"output,omitempty"`
	Checks    map[string][]draftCheck `json:"checks,omitempty"`
}

type draftCheck struct {
	Status string   `json:"status"`
	Output string   `json:"output,omitempty"`
	Value  *float64 `json:"observedValue,omitempty"`
	Unit   string   `json:"observedUnit,omitempty"`
}

func (s *Server) healthJSON(v view, a *answer) []byte {
	out := draftAnswer{Status: draftStatus(a.status, s.code(v.endpoint, a.status)), ReleaseID: s.cfg.Build, ServiceID: s.cfg.Service}
	if out.Status != "pass" {
		out.Output = a.status.String()
	}
	for i := range a.checks {
		c := &a.checks[i]
		one := draftCheck{Status: draftStatus(c.Status, c.Status.HTTP())}
		if one.Status != "pass" {
			one.Output = strings.TrimSuffix(c.Cause.String()+": "+c.Reason, ": ")
		}
		one.Value, one.Unit = observed(c)
		if out.Checks == nil {
			out.Checks = map[string][]draftCheck{}
		}
		out.Checks[c.Name] = []draftCheck{one}
	}
	return encodeJSON(out)
}

// draftStatus agrees with the HTTP status, as the draft wants it.
func draftStatus(s health.Status, code int) string {
	switch {
	case code >= http.StatusBadRequest:
		return "fail"
	case s == health.Serving:
		return "pass"
	}
	return "warn"
}

func observed(c *health.CheckState) (*float64, string) {
	if !c.HasValue || math.IsNaN(c.Value) || math.IsInf(c.Value, 0) {
		return nil, ""
	}
	return &c.Value, c.Unit
}

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // there is nothing in them that could do this
	}
	return append(b, '\n')
}
