package check

import (
	"context"
	"fmt"
	"math"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// Limit has two bounds for a measured value, one for a warning and one for a failure. AtMost and
// AtLeast return a Limit.
type Limit struct {
	warn, fail float64
	lower      bool // true if warn and fail are lower bounds, false if they are upper bounds
	set        bool // true if AtMost or AtLeast has made the limit; false: the limit is not valid
}

// AtMost returns a limit for values that should be low. A check warns if the value is more than the
// bound warn. It fails if the value is more than the bound fail, which must not be less than warn.
// The bound math.Inf(1) means no bound.
func AtMost(warn, fail float64) Limit { return Limit{warn: warn, fail: fail, set: true} }

// AtLeast returns a limit for values that should be high. A check warns if the value is less than
// the bound warn. It fails if the value is less than the bound fail, which must not be more than
// warn. The bound math.Inf(-1) means no bound.
func AtLeast(warn, fail float64) Limit { return Limit{warn: warn, fail: fail, lower: true, set: true} }

// Gauge returns a check of the value that the function `read` returns, such as the length of a queue.
// The health services show the value and its unit with the check. NaN is a failure.
func Gauge(read func(context.Context) (float64, error), unit string, limit Limit) Func {
	if read == nil {
		return invalid("read", "is nil")
	}
	return limit.validated(func(ctx context.Context) error {
		value, err := read(ctx)
		if err != nil {
			return err
		}
		return limit.evaluate(ctx, value, unit)
	})
}

// validated returns `run`, which is a check. If the limit is not valid, validated returns a check
// that always fails.
func (l Limit) validated(run Func) Func {
	switch {
	case !l.set:
		return invalid("limit", "is not set; allowed: AtMost or AtLeast")
	case math.IsNaN(l.warn) || math.IsNaN(l.fail):
		return invalid("limit", "is not a number")
	case l.lower && l.fail > l.warn && !math.IsInf(l.warn, -1):
		return invalid("limit", "fails below %v, which is above where it warns (%v)", l.fail, l.warn)
	case !l.lower && l.fail < l.warn && !math.IsInf(l.warn, 1):
		return invalid("limit", "fails above %v, which is below where it warns (%v)", l.fail, l.warn)
	}
	return run
}

// evaluate returns an error or a warning if value is beyond a bound of the limit. It also passes
// the value to server.Observe, so that the health services show the value with the check.
func (l Limit) evaluate(ctx context.Context, value float64, unit string) error {
	server.Observe(ctx, value, unit)
	switch {
	case math.IsNaN(value):
		return fmt.Errorf("%v %s", value, unit)
	case l.exceeds(value, l.fail):
		return fmt.Errorf("%s, %s", amount(value, unit), l.text(l.fail, unit))
	case l.exceeds(value, l.warn):
		return health.Warnf("%s, %s", amount(value, unit), l.text(l.warn, unit))
	}
	return nil
}

func (l Limit) exceeds(value, bound float64) bool {
	if l.lower {
		return value < bound
	}
	return value > bound
}

func (l Limit) text(bound float64, unit string) string {
	if l.lower {
		return "less than " + amount(bound, unit)
	}
	return "more than " + amount(bound, unit)
}

// amount returns the text of a value and its unit. The number in the text is an integer, or has at
// most four significant digits.
func amount(value float64, unit string) string {
	if math.Abs(value) < 1e4 && value != math.Trunc(value) {
		return fmt.Sprintf("%.4g %s", value, unit)
	}
	return fmt.Sprintf("%.0f %s", value, unit)
}
