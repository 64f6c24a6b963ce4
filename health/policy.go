package health

import (
	"errors"
	"fmt"
	"time"
)

// Policy says how a Machine judges. The zero value is the default.
type Policy struct {
	// DegradeAfter consecutive warns or fails: Serving becomes Degraded. 0
	// means 1. At most FailAfter.
	DegradeAfter int
	// FailAfter consecutive fails: NotServing. 0 means 3.
	FailAfter int
	// RecoverAfter consecutive passes: Serving; as many passes and warns:
	// NotServing becomes Degraded. 0 means 2.
	RecoverAfter int
	// MinHold is the least time from one change to an improvement after it.
	// 0 means none. Worsening is never held back.
	MinHold time.Duration
	// StaleAfter is how long after Observation.Next the last evidence still
	// counts. 0 means not at all longer; negative means for ever.
	StaleAfter time.Duration
}

// The defaults of Policy.
const (
	DefaultDegradeAfter = 1
	DefaultFailAfter    = 3
	DefaultRecoverAfter = 2
)

// WithDefaults returns p with its zero fields replaced.
func (p Policy) WithDefaults() Policy {
	p.DegradeAfter = orDefault(p.DegradeAfter, DefaultDegradeAfter)
	p.FailAfter = orDefault(p.FailAfter, DefaultFailAfter)
	p.RecoverAfter = orDefault(p.RecoverAfter, DefaultRecoverAfter)
	return p
}

func orDefault(v, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return v
}

// Validate reports everything that is wrong with p, by field.
func (p Policy) Validate() error {
	p = p.WithDefaults()
	var errs []error
	for _, f := range []struct {
		name  string
		value int
	}{{"DegradeAfter", p.DegradeAfter}, {"FailAfter", p.FailAfter}, {"RecoverAfter", p.RecoverAfter}} {
		if f.value < 1 {
			errs = append(errs, fmt.Errorf("%s: %d is below 1", f.name, f.value))
		}
	}
	if p.DegradeAfter > p.FailAfter {
		errs = append(errs, fmt.Errorf("DegradeAfter: %d is above FailAfter (%d)", p.DegradeAfter, p.FailAfter))
	}
	if p.MinHold < 0 {
		errs = append(errs, fmt.Errorf("MinHold: %v is negative", p.MinHold))
	}
	return errors.Join(errs...)
}
