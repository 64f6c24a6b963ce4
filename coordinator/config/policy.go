package config

import (
	"errors"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/follow"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// readPolicy reads the section policy, which says how the statuses of instances, services and the
// mesh are decided.
func readPolicy(m *health.MeshPolicy) input.Reader {
	return input.Object(input.Fields{
		"recover_hold":       input.Duration(&m.RecoverHold, time.Millisecond, true),
		"recover_after":      input.Count(&m.RecoverAfter, health.MaxRecoverAfter, false),
		"unreachable_after":  input.Duration(&m.UnreachableAfter, time.Second, false),
		"startup_grace":      input.Duration(&m.StartupGrace, time.Millisecond, false),
		"deregister_after":   input.Duration(&m.DeregisterAfter, time.Second, true),
		"amnesty":            input.Duration(&m.Amnesty, time.Second, true),
		"min_available":      input.Percent(&m.MinAvailable),
		"mesh_rule":          input.Choice(func(word string) { m.MeshRule, _ = health.ParseRule(word) }, health.Available.String(), health.Worst.String()),
		"mesh_min_available": input.Percent(&m.MeshMinAvailable),
		"flap_half_life":     input.Duration(&m.FlapHalfLife, time.Second, true),
		"flap_max":           input.Duration(&m.FlapMax, time.Second, false),
		"guard_min":          input.Count(&m.GuardMin, health.MaxGuardMin, true),
		"guard_max":          input.Duration(&m.GuardMax, time.Second, false),
		"root_window":        input.Duration(&m.RootWindow, time.Millisecond, true),
		"services":           readServicePolicies(m),
	})
}

// readServicePolicies reads the policies of single services. If the dependencies form a circle, the
// fault is reported at the first service of the circle.
func readServicePolicies(m *health.MeshPolicy) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		lines := map[string]int{}
		input.ByName(wire.CheckService, func(name string) input.Reader {
			return func(p *input.Problems, path string, n *yaml.Node) {
				lines[name] = n.Line
				var s health.ServicePolicy
				readServicePolicy(&s)(p, path, n)
				m.Services = with(m.Services, name, s)
			}
		})(p, path, n)
		if circle := m.DependencyCycle(); circle != nil {
			p.Add(lines[circle[0]], input.Join(path, circle[0])+".depends_on", "goes round in a circle: %s", strings.Join(circle, " -> "))
		}
	}
}

func readServicePolicy(s *health.ServicePolicy) input.Reader {
	return input.Object(input.Fields{
		"rule": readRule(&s.Rule), "min_available": input.Percent(&s.MinAvailable), "protocol": readProtocol(&s.Protocol),
		"optional":        readExclusive(&s.Optional, &s.Critical, "critical"),
		"critical":        readExclusive(&s.Critical, &s.Optional, "optional"),
		"depends_on":      readDependencies(&s.DependsOn, &s.SoftDependsOn),
		"soft_depends_on": readDependencies(&s.SoftDependsOn, &s.DependsOn),
	})
}

// readExclusive reads a boolean into dst. It reports a fault if other, the value of the key
// otherKey, is true too. The fault is reported at the key that comes second in the file.
func readExclusive(dst, other *bool, otherKey string) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		input.Boolean(dst)(p, path, n)
		if *dst && *other {
			p.Add(n.Line, path, "is true beside %s; allowed: one of both", otherKey)
		}
	}
}

// readDependencies reads a list of service names into dst. A name that occurs twice in dst, or
// in both dst and other, is a fault.
func readDependencies(dst, other *[]string) input.Reader {
	return input.List(func(i int) input.Reader {
		return func(p *input.Problems, path string, n *yaml.Node) {
			var name string
			input.Text(&name, wire.CheckService)(p, path, n)
			switch {
			case name == "":
			case i >= health.MaxDependencies:
				p.Add(n.Line, path, "is one too many; allowed: at most %d", health.MaxDependencies)
			case slices.Contains(*dst, name) || slices.Contains(*other, name):
				p.Add(n.Line, path, "%q is there twice", name)
			default:
				*dst = append(*dst, name)
			}
		}
	})
}

func readRule(dst *health.Rule) input.Reader {
	return input.Scalar(health.RuleNames, func(text string, _ *yaml.Node) (err error) {
		*dst, err = health.ParseRule(text)
		return err
	})
}

func readProtocol(dst *health.Protocol) input.Reader {
	return input.Scalar(health.ProtocolNames, func(text string, _ *yaml.Node) (err error) {
		if text == "" {
			return errors.New("\"\" is no protocol")
		}
		*dst, err = health.ParseProtocol(text)
		return err
	})
}

// readRetry reads a retry rule for all methods, and rules for single methods.
func readRetry(r *coordinator.Retry) input.Reader {
	known := retryFields(&r.RetryRule)
	known["methods"] = input.ByName(follow.CheckRetryMethod, func(name string) input.Reader {
		return func(p *input.Problems, path string, n *yaml.Node) {
			var rule coordinator.RetryRule
			readRetryRule(&rule, retryFields(&rule))(p, path, n)
			r.Methods = with(r.Methods, name, rule)
		}
	})
	return readRetryRule(&r.RetryRule, known)
}

func retryFields(r *coordinator.RetryRule) input.Fields {
	return input.Fields{
		"attempts": input.Count(&r.Attempts, follow.MaxRetryAttempts, false),
		"base":     input.Duration(&r.Base, follow.LeastRetryBase, false),
		"cap":      input.Duration(&r.Cap, follow.LeastRetryBase, false),
	}
}

// readRetryRule reads the keys of a retry rule. It refuses a longest delay (cap) that is less
// than the first delay (base).
func readRetryRule(r *coordinator.RetryRule, known input.Fields) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		input.Object(known)(p, path, n)
		if r.Base != 0 && r.Cap != 0 && r.Cap < r.Base {
			p.Add(n.Line, input.Join(path, "cap"), "%s is less than base, %s; allowed: as much or more",
				input.FormatDuration(r.Cap), input.FormatDuration(r.Base))
		}
	}
}
