package mesh

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// TestMeshRule has a row for each part of the rules for the mesh and its zones. Services are
// written as kind=STATUS.
func TestMeshRule(t *testing.T) {
	for _, c := range []struct {
		name, services string
		percent        int // MeshMinAvailable; 0 means 50
		want           health.Status
		worst          health.Status // with the rule worst
	}{
		{name: "nothing is registered", want: health.Unknown, worst: health.Unknown},
		{name: "all are well", services: "critical=SERVING normal=SERVING optional=SERVING", want: health.Serving, worst: health.Serving},

		{name: "a critical one is NOT_SERVING", services: "critical=NOT_SERVING critical=SERVING normal=SERVING", want: health.NotServing, worst: health.NotServing},
		{name: "a critical one is NOT_SERVING, and there are no others", services: "critical=NOT_SERVING", want: health.NotServing, worst: health.NotServing},

		{name: "too few normal ones are routable", services: "normal=SERVING normal=NOT_SERVING normal=NOT_SERVING", want: health.NotServing, worst: health.NotServing},
		{name: "just enough are", services: "normal=SERVING normal=NOT_SERVING", want: health.Degraded, worst: health.NotServing},
		{name: "one below 75 percent", services: "normal=SERVING normal=NOT_SERVING", percent: 75, want: health.NotServing, worst: health.NotServing},
		{name: "just 75 percent", services: "normal=SERVING normal=SERVING normal=DEGRADED normal=NOT_SERVING", percent: 75, want: health.Degraded, worst: health.NotServing},
		{name: "DEGRADED is routable", services: "normal=DEGRADED normal=NOT_SERVING", want: health.Degraded, worst: health.NotServing},
		{name: "critical ones are not among the normal ones", services: "critical=SERVING critical=SERVING normal=NOT_SERVING", want: health.NotServing, worst: health.NotServing},
		{name: "without a normal one the percentage says nothing", services: "critical=SERVING critical=DEGRADED", want: health.Degraded, worst: health.Degraded},

		{name: "UNKNOWN could make the difference", services: "normal=SERVING normal=UNKNOWN normal=UNKNOWN", want: health.Unknown, worst: health.Degraded},
		{name: "UNKNOWN could make it at 75 percent", services: "normal=SERVING normal=UNKNOWN", percent: 75, want: health.Unknown, worst: health.Degraded},
		{name: "UNKNOWN could not make it", services: "normal=UNKNOWN normal=NOT_SERVING normal=NOT_SERVING", want: health.NotServing, worst: health.NotServing},
		{name: "without UNKNOWN there are enough", services: "normal=SERVING normal=UNKNOWN", want: health.Degraded, worst: health.Degraded},
		{name: "a critical UNKNOWN is not among the normal ones", services: "critical=UNKNOWN normal=NOT_SERVING", want: health.NotServing, worst: health.NotServing},
		{name: "a critical NOT_SERVING goes before that", services: "critical=NOT_SERVING normal=UNKNOWN normal=UNKNOWN", want: health.NotServing, worst: health.NotServing},

		{name: "a critical one is UNKNOWN", services: "critical=UNKNOWN critical=SERVING normal=SERVING", want: health.Degraded, worst: health.Degraded},
		{name: "a critical one is UNKNOWN, and too many normal ones are", services: "critical=UNKNOWN normal=SERVING normal=UNKNOWN normal=UNKNOWN", want: health.Unknown, worst: health.Degraded},

		{name: "one that counts is NOT_SERVING", services: "normal=SERVING normal=SERVING normal=NOT_SERVING", want: health.Degraded, worst: health.NotServing},
		{name: "one that counts is DEGRADED", services: "critical=SERVING normal=SERVING normal=DEGRADED", want: health.Degraded, worst: health.Degraded},
		{name: "one that counts is UNKNOWN", services: "critical=SERVING normal=SERVING normal=SERVING normal=UNKNOWN", want: health.Degraded, worst: health.Degraded},

		{name: "STARTING does not count", services: "normal=SERVING normal=STARTING normal=STARTING critical=STARTING", want: health.Serving, worst: health.Serving},
		{name: "DRAINING does not count", services: "normal=SERVING normal=DRAINING normal=DRAINING critical=DRAINING", want: health.Serving, worst: health.Serving},
		{name: "MAINTENANCE does not count", services: "normal=SERVING normal=MAINTENANCE normal=MAINTENANCE critical=MAINTENANCE", want: health.Serving, worst: health.Serving},
		{name: "an optional one does not count", services: "normal=SERVING optional=NOT_SERVING optional=UNKNOWN optional=DEGRADED", want: health.Serving, worst: health.Serving},

		{name: "all that count are UNKNOWN", services: "normal=UNKNOWN critical=UNKNOWN optional=SERVING normal=STARTING", want: health.Unknown, worst: health.Unknown},
		{name: "all that count is one critical UNKNOWN", services: "critical=UNKNOWN", want: health.Unknown, worst: health.Unknown},

		{name: "none counts, and one is STARTING", services: "normal=STARTING critical=MAINTENANCE normal=DRAINING", want: health.Starting, worst: health.Starting},
		{name: "none counts, and an optional one is STARTING", services: "optional=STARTING optional=NOT_SERVING", want: health.Starting, worst: health.Serving},
		{name: "none counts, and the worst is DRAINING", services: "normal=MAINTENANCE critical=DRAINING", want: health.Draining, worst: health.Draining},
		{name: "none counts, and all are in MAINTENANCE", services: "normal=MAINTENANCE critical=MAINTENANCE", want: health.Maintenance, worst: health.Maintenance},
		{name: "none counts, and the worst is optional", services: "optional=SERVING optional=NOT_SERVING", want: health.NotServing, worst: health.Serving},
		{name: "all are optional and well", services: "optional=SERVING", want: health.Serving, worst: health.Serving},
	} {
		for rule, want := range map[health.Rule]health.Status{{}: c.want, health.Available: c.want, health.Worst: c.worst} {
			t.Run(fmt.Sprintf("%s, %s", c.name, rule), func(t *testing.T) {
				m := meshWith(t, health.MeshPolicy{MeshRule: rule, MeshMinAvailable: c.percent, Amnesty: -1}, c.services)
				names := []health.ID{{Service: health.MeshName}, health.ZoneID(health.MeshName, "x")}
				if c.services == "" {
					names = names[:1] // there is no zone then
				}
				for _, id := range names {
					if s, _ := m.State(id); s.Status != want || s.Unconfirmed {
						t.Errorf("%s is %s (unconfirmed: %t) %+v, want %s", id, s.Status, s.Unconfirmed, *s.Counts, want)
					}
				}
			})
		}
	}
}

// meshWith returns a mesh of services s0, s1, ... with one instance each in zone x.
func meshWith(t *testing.T, p health.MeshPolicy, services string) *Mesh {
	t.Helper()
	m := New(p, 7, transcript.T0)
	for i, text := range strings.Fields(services) {
		kind, name, _ := strings.Cut(text, "=")
		status := parseStatus(name)
		ev := Event{ID: health.ID{Service: fmt.Sprint("s", i), Instance: "1"}, Lease: 1}
		ev.Spec = &health.Spec{Lease: 1, Static: true, Zone: "x", Judge: &health.ServicePolicy{Optional: kind == "optional", Critical: kind == "critical"}}
		apply := func(kind EventKind) {
			ev.Kind = kind
			m.Apply(nil, transcript.T0, &ev)
		}
		if apply(EventRegister); status == health.Starting {
			continue
		}
		ev.Report = Report{Source: health.SourceMeshhealth, Status: health.Serving}
		apply(EventReport)
		if ev.Report.Status, ev.Cause = status, health.CauseTLS; status == health.Unknown {
			apply(EventConfig)
			continue
		}
		apply(EventReport)
	}
	return m
}

// TestCriticalOrOptional checks that the configuration of a service wins against the
// policies that registrations declare, and that the latest of these wins against others.
func TestCriticalOrOptional(t *testing.T) {
	critical, optional := health.ServicePolicy{Critical: true}, health.ServicePolicy{Optional: true}
	for _, c := range []struct {
		name       string
		configured health.ServicePolicy
		declared   []health.ServicePolicy
		want       health.ServicePolicy
	}{
		{"nobody says anything", health.ServicePolicy{}, nil, health.ServicePolicy{}},
		{"declared critical", health.ServicePolicy{}, []health.ServicePolicy{critical}, critical},
		{"declared optional", health.ServicePolicy{}, []health.ServicePolicy{optional}, optional},
		{"the latest says critical", health.ServicePolicy{}, []health.ServicePolicy{optional, critical}, critical},
		{"the latest says optional", health.ServicePolicy{}, []health.ServicePolicy{critical, optional}, optional},
		{"configured critical, declared optional", critical, []health.ServicePolicy{optional}, critical},
		{"configured optional, declared critical", optional, []health.ServicePolicy{critical}, optional},
		{"another thing is configured", health.ServicePolicy{Rule: health.Worst}, []health.ServicePolicy{critical}, critical},
	} {
		m := New(health.MeshPolicy{Services: map[string]health.ServicePolicy{"pay": c.configured}}, 7, transcript.T0)
		declared := append([]health.ServicePolicy{{}}, c.declared...)
		for i := range declared {
			spec := &health.Spec{Lease: 1, Static: true, Zone: "x", RegisteredAt: transcript.At(time.Duration(i)), Judge: &declared[i]}
			m.Apply(nil, transcript.T0, &Event{Kind: EventRegister, ID: health.ID{Service: "pay", Instance: fmt.Sprint(i)}, Lease: 1, Spec: spec})
		}
		for _, id := range []health.ID{{Service: "pay"}, health.ZoneID("pay", "x")} {
			if s, _ := m.State(id); s.Counts.Critical != c.want.Critical || s.Counts.Optional != c.want.Optional {
				t.Errorf("%s: %s is %+v", c.name, id, *s.Counts)
			}
		}
	}
}

// TestCriticalByReload checks that a service can become critical while the mesh runs.
func TestCriticalByReload(t *testing.T) {
	m := meshWith(t, health.MeshPolicy{Amnesty: -1}, "normal=NOT_SERVING normal=SERVING")
	for _, c := range []struct {
		services map[string]health.ServicePolicy
		want     health.Status
	}{{nil, health.Degraded}, {map[string]health.ServicePolicy{"s0": {Critical: true}}, health.NotServing}, {map[string]health.ServicePolicy{"s0": {Optional: true}}, health.Serving}, {nil, health.Degraded}} {
		m.Retune(nil, transcript.T0, c.services)
		for _, id := range []health.ID{{Service: health.MeshName}, health.ZoneID(health.MeshName, "x")} {
			if s, _ := m.State(id); s.Status != c.want {
				t.Errorf("with %v %s is %s %+v, want %s", c.services, id, s.Status, *s.Counts, c.want)
			}
		}
	}
}
