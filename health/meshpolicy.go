package health

import (
	"errors"
	"fmt"
	"time"
)

// MeshPolicy says how a Mesh judges. The zero value is the default.
type MeshPolicy struct {
	// RecoverHold is how long a stock target must hold SERVING before a better
	// status is believed. 0 means 2 s; negative means not at all.
	RecoverHold time.Duration
	// RecoverAfter is how many polls must agree, beside RecoverHold, when the
	// target is polled. 0 means 2.
	RecoverAfter int
	// UnreachableAfter is how long a path may be in doubt before the instance
	// is NotServing. 0 means 15 s.
	UnreachableAfter time.Duration
	// StartupGrace is the age from which an instance counts although it never
	// served. 0 means 60 s.
	StartupGrace time.Duration
	// DeregisterAfter is how long an instance whose lease has ended stays. 0
	// means 10 min; negative means for ever.
	DeregisterAfter time.Duration
	// Amnesty is how long after the start no deadline of a loaded instance
	// begins to run. 0 means 30 s; negative means none.
	Amnesty time.Duration
	// MinAvailable is the part of the counted instances, in percent, that must
	// be routable. 0 means 50.
	MinAvailable int
	// GuardMin is how many instances a zone or the mesh must have for its
	// mass-failure guard to trip when half of them cannot be reached. 0 means
	// 10; negative means never.
	GuardMin int
	// GuardMax is how long a tripped guard keeps what it holds; then that is
	// UNKNOWN. 0 means 10 min.
	GuardMax time.Duration
	// FlapHalfLife is how fast flips are forgotten: an instance is held at its
	// worst (cause flapping) from the third at once or a few more in as many
	// minutes on, until twice to four times this long after the last. 0 means
	// 60 s; negative means never.
	FlapHalfLife time.Duration
	// FlapMax is how long an instance is held at most. 0 means 10 min.
	FlapMax time.Duration
	// RootWindow is how much later than a service one it depends on may fail and
	// still be the reason. 0 means 15 s; negative means not later at all.
	RootWindow time.Duration
	// Services says how single services are judged. Those that are not named
	// have the zero value.
	Services map[string]ServicePolicy
}

// ServicePolicy says how one service is judged. The zero value is the default.
type ServicePolicy struct {
	Rule Rule
	// MinAvailable is that of this service; 0 means the mesh's.
	MinAvailable int
	// Optional: the mesh does not get worse for it.
	Optional bool
	// DependsOn are the services it cannot do without, SoftDependsOn those it
	// would miss. They explain what is wrong with it, and change no status.
	// MeshPolicy.Services alone says so: registrations do not.
	DependsOn, SoftDependsOn []string
}

// The defaults of MeshPolicy.
const (
	DefaultRecoverHold      = 2 * time.Second
	DefaultUnreachableAfter = 15 * time.Second
	DefaultStartupGrace     = 60 * time.Second
	DefaultDeregisterAfter  = 10 * time.Minute
	DefaultAmnesty          = 30 * time.Second
	DefaultMinAvailable     = 50
	DefaultGuardMin         = 10
	DefaultGuardMax         = 10 * time.Minute
	DefaultFlapHalfLife     = 60 * time.Second
	DefaultFlapMax          = 10 * time.Minute
	DefaultRootWindow       = 15 * time.Second
)

// WithDefaults returns p with its zero fields replaced.
func (p MeshPolicy) WithDefaults() MeshPolicy {
	p.RecoverHold = orDefaultTime(p.RecoverHold, DefaultRecoverHold)
	p.RecoverAfter = orDefault(p.RecoverAfter, DefaultRecoverAfter)
	p.UnreachableAfter = orDefaultTime(p.UnreachableAfter, DefaultUnreachableAfter)
	p.StartupGrace = orDefaultTime(p.StartupGrace, DefaultStartupGrace)
	p.DeregisterAfter = orDefaultTime(p.DeregisterAfter, DefaultDeregisterAfter)
	p.Amnesty = orDefaultTime(p.Amnesty, DefaultAmnesty)
	p.MinAvailable = orDefault(p.MinAvailable, DefaultMinAvailable)
	p.GuardMin = orDefault(p.GuardMin, DefaultGuardMin)
	p.GuardMax = orDefaultTime(p.GuardMax, DefaultGuardMax)
	p.FlapHalfLife = orDefaultTime(p.FlapHalfLife, DefaultFlapHalfLife)
	p.FlapMax = orDefaultTime(p.FlapMax, DefaultFlapMax)
	p.RootWindow = orDefaultTime(p.RootWindow, DefaultRootWindow)
	return p
}

// of returns how a service is judged whose instances want it to be judged so.
func (p *MeshPolicy) of(service string, declared ServicePolicy) ServicePolicy {
	s := p.Services[service]
	if s.Rule == (Rule{}) {
		s.Rule = declared.Rule
	}
	s.MinAvailable = orDefault(orDefault(s.MinAvailable, declared.MinAvailable), p.MinAvailable)
	s.Optional = s.Optional || declared.Optional
	return s
}

func orDefaultTime(v, otherwise time.Duration) time.Duration {
	if v == 0 {
		return otherwise
	}
	return v
}

// Validate reports everything that is wrong with p, by field.
func (p MeshPolicy) Validate() error {
	p = p.WithDefaults()
	var errs []error
	if p.RecoverAfter < 1 {
		errs = append(errs, fmt.Errorf("RecoverAfter: %d is below 1", p.RecoverAfter))
	}
	if p.UnreachableAfter < time.Second {
		errs = append(errs, fmt.Errorf("UnreachableAfter: %v is below 1s", p.UnreachableAfter))
	}
	if p.StartupGrace < 0 {
		errs = append(errs, fmt.Errorf("StartupGrace: %v is negative", p.StartupGrace))
	}
	if p.MinAvailable < 1 || p.MinAvailable > 100 {
		errs = append(errs, fmt.Errorf("MinAvailable: %d is not in 1..100", p.MinAvailable))
	}
	for name, s := range p.Services {
		if s.MinAvailable < 0 || s.MinAvailable > 100 {
			errs = append(errs, fmt.Errorf("Services[%s].MinAvailable: %d is not in 1..100, nor 0 for the mesh's", name, s.MinAvailable))
		}
		if _, err := ParseRule(s.Rule.String()); err != nil {
			errs = append(errs, fmt.Errorf("Services[%s].Rule: %w; allowed: %s", name, err, RuleNames))
		}
	}
	if p.GuardMax < time.Second {
		errs = append(errs, fmt.Errorf("GuardMax: %v is below 1s", p.GuardMax))
	}
	if p.FlapMax < time.Second {
		errs = append(errs, fmt.Errorf("FlapMax: %v is below 1s", p.FlapMax))
	}
	if p.FlapHalfLife >= 0 && p.FlapHalfLife < time.Second {
		errs = append(errs, fmt.Errorf("FlapHalfLife: %v is below 1s", p.FlapHalfLife))
	}
	return errors.Join(append(errs, checkDependencies(p.Services)...)...)
}
