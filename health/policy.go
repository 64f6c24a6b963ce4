package health

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/internal/fields"
)

// MaxDuration is the upper bound of all durations in a MeshPolicy. MaxCheckTime is the upper
// bound of all durations of a check. With these bounds no sum of durations overflows.
const (
	MaxDuration  = 30 * 24 * time.Hour
	MaxCheckTime = 366 * 24 * time.Hour
)

// Policy holds the thresholds that decide when evidence changes the status of a check. A
// zero field means its default.
type Policy struct {
	// DegradeAfter is the number of consecutive warnings or failures after which SERVING
	// becomes DEGRADED. 0 means 1. DegradeAfter is at most FailAfter.
	DegradeAfter int
	// FailAfter is the number of consecutive failures after which the status is NOT_SERVING.
	// 0 means 3.
	FailAfter int
	// RecoverAfter is the number of consecutive passes after which the status is SERVING. It
	// is also the number of consecutive runs without a failure after which NOT_SERVING becomes
	// DEGRADED. 0 means 2.
	RecoverAfter int
	// MinHold is the minimum time for which a status is kept before a better status replaces
	// it. 0 means no minimum. A worse status is never delayed.
	MinHold time.Duration
	// StaleAfter is how long the last result of the check stays valid after the next run should
	// have ended but has not returned. 0 means that the last result becomes invalid at that
	// moment. A negative value means that the last result stays valid for ever.
	StaleAfter time.Duration
}

// Defaults of the fields of Policy.
const (
	DefaultDegradeAfter = 1
	DefaultFailAfter    = 3
	DefaultRecoverAfter = 2
)

// WithDefaults returns a copy of p in which each zero field has its default.
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

// Validate returns an error that joins one error for each field that is not valid. It
// returns nil if p is valid.
func (p Policy) Validate() error {
	p = p.WithDefaults()
	var errs fields.Errors
	for _, f := range []struct {
		name  string
		value int
	}{{"DegradeAfter", p.DegradeAfter}, {"FailAfter", p.FailAfter}, {"RecoverAfter", p.RecoverAfter}} {
		if f.value < 1 {
			errs.Addf(f.name, "is %d; allowed: at least 1", f.value)
		}
	}
	if p.DegradeAfter > p.FailAfter {
		errs.Addf("DegradeAfter", "is %d; allowed: at most FailAfter (%d)", p.DegradeAfter, p.FailAfter)
	}
	if p.MinHold < 0 {
		errs.Addf("MinHold", "is %v; allowed: not negative", p.MinHold)
	}
	errs.Add("MinHold", tooLong(p.MinHold, MaxCheckTime))
	errs.Add("StaleAfter", tooLong(p.StaleAfter, MaxCheckTime))
	return errs.Join()
}

// tooLong returns an error if d is longer than limit.
func tooLong(d, limit time.Duration) error {
	if d <= limit {
		return nil
	}
	return fmt.Errorf("is %v; allowed: at most %v", d, limit)
}
