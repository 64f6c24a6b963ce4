//go:build e2e || soak

package xds

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// step is a row of the matrix: a change of a service, and the share of the calls that each backend
// must get after it.
type step struct {
	what   string
	target string
	secure bool
	change func()
	// shares has the share of each backend, whose sum is 1. A nil map means that each call fails
	// with UNAVAILABLE.
	shares map[string]float64
}

// TestMatrix checks what each stack does with each status, share, zone and weight.
func TestMatrix(t *testing.T) {
	c := startCoordinator(t)
	m := newMatrix(t, c)
	drivers := startDrivers(t, c.at, m.authority.Roots(t.TempDir()))
	rows := [][]string{append([]string{"b0 is SERVING, and"}, names(drivers)...)}
	for _, s := range m.steps() {
		if s.change != nil {
			s.change()
		}
		row := make([]string, len(drivers)+1)
		row[0] = s.what
		each(drivers, func(i int, d *driver) { row[i+1] = d.measure(&s) })
		rows = append(rows, row)
		if t.Failed() {
			break
		}
	}
	t.Logf("%d calls in each cell\n%s", measured, table(rows))
}

// matrix has the backends of the matrix, by their services.
type matrix struct {
	t         *testing.T
	c         *coordinator
	authority *nettest.Authority
	services  map[string][]*backend
}

func newMatrix(t *testing.T, c *coordinator) *matrix {
	m := &matrix{t: t, c: c, authority: nettest.NewAuthority(t), services: map[string][]*backend{}}
	mesh := newClient(t, c.at)
	certificate := m.authority.Certificate("pay.example", time.Hour)
	named := func(names ...string) []backendConfig {
		return []backendConfig{{tls: &certificate, names: names}, {tls: &certificate, names: names}}
	}
	for service, configs := range map[string][]backendConfig{
		"status":    make([]backendConfig, 2),
		"unknown":   {{}, {}, {refuses: true}},
		"drain":     make([]backendConfig, 2),
		"ten":       make([]backendConfig, 10),
		"fallback":  make([]backendConfig, 4),
		"zones":     {{region: "eu", zone: "a", weight: 3}, {region: "eu", zone: "a", weight: 3}, {region: "eu", zone: "b", weight: 2}},
		"weights":   {{weight: 9}, {weight: 1}},
		"tls":       named("other.example", "pay.example"),
		"wrongname": named("other.example"),
	} {
		m.services[service] = startBackends(t, mesh, service, 0, configs...)
		for _, b := range m.services[service] {
			b.set(health.Serving)
		}
	}
	return m
}

func (m *matrix) set(service string, s health.Status, backends ...int) func() {
	return func() {
		for _, i := range backends {
			m.services[service][i].set(s)
		}
	}
}

// steps returns the rows of the matrix, in the order in which they are tried.
func (m *matrix) steps() []step {
	both, first := map[string]float64{"b0": 0.5, "b1": 0.5}, map[string]float64{"b0": 1}
	status := func(what string, s health.Status, shares map[string]float64) step {
		return step{"b1 is " + what, "xds:///status", false, m.set("status", s, 1), shares}
	}
	unknown := m.services["unknown"]
	return []step{
		status("SERVING", health.Serving, both),
		status("DEGRADED", health.Degraded, map[string]float64{"b0": 0.7, "b1": 0.3}),
		status("NOT_SERVING", health.NotServing, first),
		status("SERVING again", health.Serving, both),
		status("STARTING", health.Starting, first),
		status("in MAINTENANCE by its own word", health.Maintenance, first),
		status("SERVING, called as SERVICE:PORT", health.Serving, both).to("xds:///status:8080"),
		status("SERVING, called by the authority mesh", health.Serving, both).to("xds://mesh/status"),
		{"b1 is in MAINTENANCE by override", "xds:///status", false, func() {
			m.c.command("override", "set", "status/b1", "MAINTENANCE", "--reason", "test", "--for", "1h")
		}, first},
		{"b1 is SERVING, the override is cleared", "xds:///status", false, func() {
			m.c.command("override", "clear", "status/b1")
		}, both},
		{"b1 is DRAINING", "xds:///drain", false, m.services["drain"][1].drain, first},
		{"b1 is UNKNOWN after SERVING; b2 always was", "xds:///unknown", false, func() { m.refuse(unknown[1]) }, both},
		{"b1 is UNKNOWN after NOT_SERVING", "xds:///unknown", false, func() {
			unknown[1].set(health.NotServing)
			unknown[1].access.refuse(false)
			m.shown("unknown/b1", "NOT_SERVING")
			m.refuse(unknown[1])
		}, first},
		{"only b0 and b1, both DEGRADED", "xds:///status", false, m.set("status", health.Degraded, 0, 1), both},
		{"only b0 and b1, both NOT_SERVING", "xds:///status", false, m.set("status", health.NotServing, 0, 1), nil},
		{"only b0, SERVING again", "xds:///status", false, m.set("status", health.Serving, 0), first},
		{"5 of 10 are DEGRADED", "xds:///ten", false, m.set("ten", health.Degraded, 0, 1, 2, 3, 4), shares(0.06, 5, 0.14, 5)},
		{"9 of 10 are DEGRADED", "xds:///ten", false, m.set("ten", health.Degraded, 5, 6, 7, 8), shares(0.86/9, 9, 0.14, 1)},
		{"2 of 10 are DEGRADED", "xds:///ten", false, m.set("ten", health.Serving, 2, 3, 4, 5, 6, 7, 8), shares(0, 2, 0.125, 8)},
		{"b0 to b2 do not answer, b3 is DEGRADED", "xds:///fallback", false, m.onlyFallback, map[string]float64{"b3": 1}},
		{"zone a has weights 3 and 3, zone b has 2", "xds:///zones", false, nil, map[string]float64{"b0": 0.375, "b1": 0.375, "b2": 0.25}},
		{"one zone has weights 9 and 1", "xds:///weights", false, nil, both},
		{"TLS, one of the names is right", "xds:///tls", true, nil, both},
		{"TLS, the name is wrong", "xds:///wrongname", true, nil, nil},
	}
}

// to returns the step with another target.
func (s step) to(target string) step {
	s.target = target
	return s
}

// shares returns shares of backends: n backends with one share, and then m with another.
func shares(share float64, n int, other float64, m int) map[string]float64 {
	all := map[string]float64{}
	for i := range n {
		all[fmt.Sprintf("b%d", i)] = share
	}
	for i := range m {
		all[fmt.Sprintf("b%d", n+i)] = other
	}
	return all
}

// refuse makes a backend UNKNOWN.
func (m *matrix) refuse(b *backend) {
	m.t.Helper()
	b.access.refuse(true)
	m.shown(b.id.String(), "UNKNOWN")
}

// shown waits until the coordinator shows a status.
func (m *matrix) shown(name, status string) {
	m.t.Helper()
	until(m.t, name+" is "+status, func() bool { return m.c.status(name) == status })
}

// onlyFallback makes the ports for calls of all backends refuse, except that of the DEGRADED backend b3.
// The backends stay SERVING, because their health is on other ports.
func (m *matrix) onlyFallback() {
	all := m.services["fallback"]
	all[3].set(health.Degraded)
	for _, b := range all[:3] {
		b.calls.Stop()
	}
}

const (
	// probed is the number of calls with which a test looks whether a stack has a change.
	probed = 40
	// inflight is the number of calls at a time.
	inflight = 4
)

// measure waits until the stack has the change of the step. Then it makes calls, and requires that they
// have the wanted distribution. It returns the counts.
func (d *driver) measure(s *step) string {
	d.settle(s)
	got := d.run(command{Do: "calls", Target: s.target, Secure: s.secure, Count: measured, Inflight: inflight})
	if why := s.check(got); why != "" {
		d.t.Errorf("%s: %s: %s: %v", d.name, s.what, why, got)
	}
	return s.cell(got)
}

// settle makes calls until their backends are those of the step.
func (d *driver) settle(s *step) {
	var got counts
	for late := time.Now().Add(patience); !d.t.Failed(); {
		got = d.run(command{Do: "calls", Target: s.target, Secure: s.secure, Count: probed, Inflight: inflight})
		if s.fits(got) {
			return
		}
		if time.Now().After(late) {
			d.t.Errorf("%s: %s: after %v: %v", d.name, s.what, patience, got)
		}
	}
}

// fits reports whether the calls can be those after the step.
func (s *step) fits(got counts) bool {
	if s.shares == nil {
		return got.answered() == 0
	}
	for name := range got.Backends {
		if s.shares[name] == 0 {
			return false
		}
	}
	return got.failed() == 0
}

// improbable is the probability below which a distribution counts as wrong.
const improbable = 1e-9

// check returns what is wrong with the calls after the step, or an empty text.
func (s *step) check(got counts) string {
	n := got.total()
	if s.shares == nil {
		for text := range got.Errors {
			if !strings.HasPrefix(strings.ToUpper(text), "UNAVAILABLE") {
				return "want UNAVAILABLE"
			}
		}
		if got.answered() > 0 {
			return "want no answer"
		}
		return ""
	}
	if got.failed() > 0 {
		return "a call failed"
	}
	for name, k := range got.Backends {
		if s.shares[name] == 0 && k > 0 {
			return name + " must get no calls"
		}
	}
	for name, p := range s.shares {
		if low, high := binomial(n, p); got.Backends[name] < low || got.Backends[name] > high {
			return fmt.Sprintf("%s must get %d to %d calls", name, low, high)
		}
	}
	return ""
}

// binomial returns the bounds between which the number of successes in n trials is, except with the
// probability improbable at each side.
func binomial(n int, p float64) (low, high int) {
	switch p {
	case 0:
		return 0, 0
	case 1:
		return n, n
	}
	chance := func(k int) float64 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(n - k + 1))
		return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log(1-p))
	}
	for sum := chance(0); sum < improbable; sum += chance(low) {
		low++
	}
	high = n
	for sum := chance(n); sum < improbable; sum += chance(high) {
		high--
	}
	return low, high
}

// cell returns the counts as a cell of the table. Backends with equal shares are one number.
func (s *step) cell(got counts) string {
	if s.shares == nil {
		return fmt.Sprintf("UNAVAILABLE %d", got.failed())
	}
	var parts []string
	seen := map[float64]bool{}
	all := slices.Sorted(maps.Keys(s.shares))
	for _, name := range all {
		if share := s.shares[name]; !seen[share] && len(all) > 3 {
			seen[share] = true
			n, sum := 0, 0
			for _, other := range all {
				if s.shares[other] == share {
					n, sum = n+1, sum+got.Backends[other]
				}
			}
			parts = append(parts, fmt.Sprintf("%d: %d", n, sum))
		} else if len(all) <= 3 {
			parts = append(parts, fmt.Sprintf("%s %d", name, got.Backends[name]))
		}
	}
	return strings.Join(parts, ", ")
}

func names(drivers []*driver) []string {
	var all []string
	for _, d := range drivers {
		all = append(all, d.name)
	}
	return all
}

// table returns rows as a Markdown table.
func table(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}
