package main

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxDependencies bounds what one service may depend on.
const maxDependencies = 64

// readPolicy reads how the mesh is judged, and the services in it.
func readPolicy(m *health.MeshPolicy) reader {
	return object(fields{
		"recover_hold":      duration(&m.RecoverHold, time.Millisecond, true),
		"recover_after":     count(&m.RecoverAfter, 1000, false),
		"unreachable_after": duration(&m.UnreachableAfter, time.Second, false),
		"startup_grace":     duration(&m.StartupGrace, time.Millisecond, false),
		"deregister_after":  duration(&m.DeregisterAfter, time.Second, true),
		"amnesty":           duration(&m.Amnesty, time.Second, true),
		"min_available":     percent(&m.MinAvailable),
		"flap_half_life":    duration(&m.FlapHalfLife, time.Second, true),
		"flap_max":          duration(&m.FlapMax, time.Second, false),
		"guard_min":         count(&m.GuardMin, 1_000_000, true),
		"guard_max":         duration(&m.GuardMax, time.Second, false),
		"root_window":       duration(&m.RootWindow, time.Millisecond, true),
		"services":          readServicePolicies(m),
	})
}

// readServicePolicies reads how single services are judged. A circle of
// dependencies is told where its first service stands.
func readServicePolicies(m *health.MeshPolicy) reader {
	return func(p *problems, path string, n *yaml.Node) {
		lines := map[string]int{}
		byName(wire.CheckService, func(name string) reader {
			return func(p *problems, path string, n *yaml.Node) {
				lines[name] = n.Line
				var s health.ServicePolicy
				readServicePolicy(&s)(p, path, n)
				m.Services = with(m.Services, name, s)
			}
		})(p, path, n)
		if circle := health.DependencyCycle(m.Services); circle != nil {
			p.add(lines[circle[0]], join(path, circle[0])+".depends_on", "goes round in a circle: %s", strings.Join(circle, " -> "))
		}
	}
}

func readServicePolicy(s *health.ServicePolicy) reader {
	return object(fields{
		"rule": rule(&s.Rule), "min_available": percent(&s.MinAvailable), "optional": boolean(&s.Optional),
		"depends_on":      readDependencies(&s.DependsOn, &s.SoftDependsOn),
		"soft_depends_on": readDependencies(&s.SoftDependsOn, &s.DependsOn),
	})
}

// readDependencies reads a list of services; none may be there twice, in it or in the other.
func readDependencies(dst, other *[]string) reader {
	return list(func(i int) reader {
		return func(p *problems, path string, n *yaml.Node) {
			var name string
			text(&name, wire.CheckService)(p, path, n)
			switch {
			case name == "":
			case i >= maxDependencies:
				p.add(n.Line, path, "is one too many; allowed: at most %d", maxDependencies)
			case slices.Contains(*dst, name) || slices.Contains(*other, name):
				p.add(n.Line, path, "%q is there twice", name)
			default:
				*dst = append(*dst, name)
			}
		}
	})
}
