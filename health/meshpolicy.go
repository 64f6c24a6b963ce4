package health

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/graph"
)

// MeshPolicy holds the settings with which the coordinator computes the statuses of
// instances, services and the mesh. A zero field means its default.
type MeshPolicy struct {
	// RecoverHold is the time for which a standard grpc.health.v1 server must answer SERVING
	// before SERVING replaces a worse status. 0 means 2 s. A negative value means that
	// SERVING counts at once.
	RecoverHold time.Duration
	// RecoverAfter is the number of polls that must return SERVING before SERVING replaces a
	// worse status. RecoverAfter has an effect only on instances that are polled. For these,
	// RecoverHold must have passed too. 0 means 2.
	RecoverAfter int
	// UnreachableAfter is the time after which an instance that does not answer becomes
	// NOT_SERVING. Until that time the instance keeps its last status, marked as unconfirmed.
	// 0 means 15 s.
	UnreachableAfter time.Duration
	// StartupGrace is the age up to which an instance that was never routable (SERVING or DEGRADED)
	// is not counted. The status of a service is computed from its counted instances. 0 means 60 s.
	StartupGrace time.Duration
	// DeregisterAfter is the time for which an instance stays registered after the end of its
	// lease. 0 means 10 min. A negative value means that the instance stays for ever.
	DeregisterAfter time.Duration
	// Amnesty is a time after the start of the coordinator. During this time, no instance
	// that was loaded from the store is called silent or expired. The deadlines of such an
	// instance begin at the end of Amnesty. 0 means 30 s. A negative value means no amnesty.
	Amnesty time.Duration
	// MinAvailable is the percentage of a service's instances that must be routable (SERVING or
	// DEGRADED) under the rule Available. Instances that are not counted (see StartupGrace) are
	// ignored. 0 means 50.
	MinAvailable int
	// MeshRule is the rule of the mesh and of its zones: Available or Worst. The zero value
	// means Available.
	MeshRule Rule
	// MeshMinAvailable is the percentage of the normal services (neither Optional nor Critical)
	// that must be routable (SERVING or DEGRADED). It has an effect if MeshRule is Available.
	// Services that are STARTING, DRAINING or MAINTENANCE are ignored. 0 means 50.
	MeshMinAvailable int
	// GuardMin is the number of instances that a zone or the mesh must have before its
	// mass-failure guard can trip. The guard trips when half of the instances are silent. 0
	// means 10. A negative value means that no guard trips.
	GuardMin int
	// GuardMax is the time for which a tripped guard keeps the status of silent instances.
	// After that these instances are UNKNOWN. 0 means 10 min.
	GuardMax time.Duration
	// FlapHalfLife is the half-life of the flap penalty of an instance. The penalty grows by
	// 1,000 when the status gets better after it got worse, or the reverse. When the penalty
	// reaches 3,000, the instance is suppressed: it keeps its worst status until the penalty
	// has decayed to 1,500. 0 means 60 s. A negative value means that no instance is suppressed.
	FlapHalfLife time.Duration
	// FlapMax is the longest time for which flap damping suppresses an instance. 0 means
	// 10 min.
	FlapMax time.Duration
	// RootWindow is a time after the failure of a service. A dependency that fails within
	// this time can still be the root (the cause) of the failure. 0 means 15 s. A negative
	// value means that a dependency that fails later than the service is never the root.
	RootWindow time.Duration
	// Services holds the policies of single services, by the name of the service. All other
	// services have the zero ServicePolicy.
	Services map[string]ServicePolicy
}

// ServicePolicy holds the settings of one service. A zero field means its default.
type ServicePolicy struct {
	Rule Rule
	// MinAvailable replaces MeshPolicy.MinAvailable for this service. 0 means that
	// MeshPolicy.MinAvailable applies.
	MinAvailable int
	// Optional means that the status of the service does not change the status of the mesh.
	// Critical means that the mesh is NOT_SERVING if the service is NOT_SERVING. At most one
	// of the two is set. A service with neither is a normal service.
	Optional, Critical bool
	// Protocol is the protocol with which the coordinator follows the instances. ProtocolAuto
	// means that the registration of each instance decides. This field is ignored in a policy
	// that an instance sends with its registration.
	Protocol Protocol
	// DependsOn are the services without which this service fails. SoftDependsOn are the
	// services that this service uses, but without which it still works. Both lists are used to
	// explain a status, and never change a status. Both lists are ignored in a policy that an
	// instance sends with its registration.
	DependsOn, SoftDependsOn []string
}

// Defaults of the fields of MeshPolicy.
const (
	DefaultRecoverHold      = 2 * time.Second
	DefaultUnreachableAfter = 15 * time.Second
	DefaultStartupGrace     = 60 * time.Second
	DefaultDeregisterAfter  = 10 * time.Minute
	DefaultAmnesty          = 30 * time.Second
	DefaultMinAvailable     = 50
	DefaultMeshMinAvailable = 50
	DefaultGuardMin         = 10
	DefaultGuardMax         = 10 * time.Minute
	DefaultFlapHalfLife     = 60 * time.Second
	DefaultFlapMax          = 10 * time.Minute
	DefaultRootWindow       = 15 * time.Second
)

// The upper bounds of the fields RecoverAfter and GuardMin of MeshPolicy.
const (
	MaxRecoverAfter = 1000
	MaxGuardMin     = 1_000_000
	// MaxDependencies is the maximum length of DependsOn and of SoftDependsOn.
	MaxDependencies = 64
)

// WithDefaults returns a copy of p in which each zero field has its default.
func (p MeshPolicy) WithDefaults() MeshPolicy {
	p.RecoverHold = orDefaultTime(p.RecoverHold, DefaultRecoverHold)
	p.RecoverAfter = orDefault(p.RecoverAfter, DefaultRecoverAfter)
	p.UnreachableAfter = orDefaultTime(p.UnreachableAfter, DefaultUnreachableAfter)
	p.StartupGrace = orDefaultTime(p.StartupGrace, DefaultStartupGrace)
	p.DeregisterAfter = orDefaultTime(p.DeregisterAfter, DefaultDeregisterAfter)
	p.Amnesty = orDefaultTime(p.Amnesty, DefaultAmnesty)
	p.MinAvailable = orDefault(p.MinAvailable, DefaultMinAvailable)
	if p.MeshRule == (Rule{}) {
		p.MeshRule = Available
	}
	p.MeshMinAvailable = orDefault(p.MeshMinAvailable, DefaultMeshMinAvailable)
	p.GuardMin = orDefault(p.GuardMin, DefaultGuardMin)
	p.GuardMax = orDefaultTime(p.GuardMax, DefaultGuardMax)
	p.FlapHalfLife = orDefaultTime(p.FlapHalfLife, DefaultFlapHalfLife)
	p.FlapMax = orDefaultTime(p.FlapMax, DefaultFlapMax)
	p.RootWindow = orDefaultTime(p.RootWindow, DefaultRootWindow)
	return p
}

// Of returns the policy that applies to a service. declared is the policy that an instance of
// the service has sent with its registration. A field that p sets for the service takes
// precedence over the same field of declared.
func (p *MeshPolicy) Of(service string, declared ServicePolicy) ServicePolicy {
	s := p.Services[service]
	if s.Rule == (Rule{}) {
		s.Rule = declared.Rule
	}
	s.MinAvailable = orDefault(orDefault(s.MinAvailable, declared.MinAvailable), p.MinAvailable)
	if !s.Optional && !s.Critical {
		s.Optional, s.Critical = declared.Optional, declared.Critical
	}
	return s
}

func orDefaultTime(v, otherwise time.Duration) time.Duration {
	if v == 0 {
		return otherwise
	}
	return v
}

// Validate returns an error that joins one error for each field that is not valid. It
// returns nil if p is valid.
func (p MeshPolicy) Validate() error {
	p = p.WithDefaults()
	var errs fields.Errors
	p.checkTimes(&errs)
	p.checkNumbers(&errs)
	p.checkServices(&errs)
	p.checkDependencies(&errs)
	return errs.Join()
}

func (p *MeshPolicy) checkTimes(errs *fields.Errors) {
	for _, f := range []struct {
		name  string
		value time.Duration
		min   time.Duration
	}{
		{"RecoverHold", p.RecoverHold, math.MinInt64},
		{"UnreachableAfter", p.UnreachableAfter, time.Second},
		{"StartupGrace", p.StartupGrace, 0},
		{"DeregisterAfter", p.DeregisterAfter, math.MinInt64},
		{"Amnesty", p.Amnesty, math.MinInt64},
		{"GuardMax", p.GuardMax, time.Second},
		{"FlapMax", p.FlapMax, time.Second},
		{"RootWindow", p.RootWindow, math.MinInt64},
	} {
		if f.value < f.min {
			errs.Addf(f.name, "is %v; allowed: at least %v", f.value, f.min)
		}
		errs.Add(f.name, tooLong(f.value, MaxDuration))
	}
	if p.FlapHalfLife >= 0 && p.FlapHalfLife < time.Second {
		errs.Addf("FlapHalfLife", "is %v; allowed: at least 1s, or negative", p.FlapHalfLife)
	}
	errs.Add("FlapHalfLife", tooLong(p.FlapHalfLife, MaxDuration))
}

func (p *MeshPolicy) checkNumbers(errs *fields.Errors) {
	for _, f := range []struct {
		name            string
		value, min, max int
	}{
		{"RecoverAfter", p.RecoverAfter, 1, MaxRecoverAfter},
		{"MinAvailable", p.MinAvailable, 1, 100},
		{"MeshMinAvailable", p.MeshMinAvailable, 1, 100},
		{"GuardMin", p.GuardMin, math.MinInt, MaxGuardMin},
	} {
		if f.value < f.min {
			errs.Addf(f.name, "is %d; allowed: at least %d", f.value, f.min)
		}
		if f.value > f.max {
			errs.Addf(f.name, "is %d; allowed: at most %d", f.value, f.max)
		}
	}
	if p.MeshRule != Available && p.MeshRule != Worst {
		errs.Addf("MeshRule", "is %s; allowed: %s", p.MeshRule, MeshRuleNames)
	}
}

func (p *MeshPolicy) checkServices(errs *fields.Errors) {
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		if s.Optional && s.Critical {
			errs.Addf("Services["+name+"].Critical", "is true beside Optional; allowed: one of both")
		}
		if s.MinAvailable < 0 || s.MinAvailable > 100 {
			errs.Addf("Services["+name+"].MinAvailable", "is %d; allowed: 0 to 100", s.MinAvailable)
		}
		if _, err := ParseRule(s.Rule.String()); err != nil {
			errs.Addf("Services["+name+"].Rule", "%w; allowed: %s", err, RuleNames)
		}
	}
}

// checkDependencies checks DependsOn and SoftDependsOn of all services, and adds the errors
// to errs.
func (p *MeshPolicy) checkDependencies(errs *fields.Errors) {
	services := p.Services
	add := func(name, format string, args ...any) {
		errs.Addf("Services["+name+"].DependsOn", format, args...)
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s := services[name]
		if n := len(s.DependsOn); n > MaxDependencies {
			add(name, "has %d; allowed: at most %d", n, MaxDependencies)
		}
		if n := len(s.SoftDependsOn); n > MaxDependencies {
			errs.Addf("Services["+name+"].SoftDependsOn", "has %d; allowed: at most %d", n, MaxDependencies)
		}
		all := slices.Concat(s.DependsOn, s.SoftDependsOn)
		for i, on := range all {
			if slices.Contains(all[:i], on) {
				add(name, "%s is there twice; allowed: once", on)
			}
		}
	}
	if path := p.DependencyCycle(); path != nil {
		add(path[0], "goes round in a circle: %s; allowed: no cycle", strings.Join(path, " -> "))
	}
}

// DependencyCycle returns the first cycle of services that depend on each other. The slice
// begins and ends with the same name. It is nil if there is no cycle.
func (p *MeshPolicy) DependencyCycle() []string {
	names := slices.Sorted(maps.Keys(p.Services))
	return graph.Cycle(names, func(name string) []string { return p.Services[name].DependsOn })
}
