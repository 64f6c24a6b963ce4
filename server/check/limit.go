package check

import (
	"context"
	"fmt"
	"math"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// Limit says from where on a measured value is a warning, and a failure. Make
// it with AtMost or AtLeast.
type Limit struct {
	warn, fail float64
	least, set bool
}

// AtMost warns above warn and fails above fail, which is no less than warn. To
// have one of them only, give the other as math.Inf(1).
func AtMost(warn, fail float64) Limit { return Limit{warn: warn, fail: fail, set: true} }

// AtLeast warns below warn and fails below fail, which is no more than warn. To
// have one of them only, give the other as math.Inf(-1).
func AtLeast(warn, fail float64) Limit { return Limit{warn: warn, fail: fail, least: true, set: true} }

// Gauge fails and warns by a value that read returns, such as the length of a
// queue. The value is shown with the check, in this unit. One that is no number
// fails.
func Gauge(read func(context.Context) (float64, error), unit string, limit Limit) Func {
	if read == nil {
		return wrong("read", "is nil")
	}
	return limit.checked(func(ctx context.Context) error {
		value, err := read(ctx)
		if err != nil {
			return err
		}
		return limit.judge(ctx, value, unit)
	})
}

// checked returns run, or what says that the limit cannot work.
func (l Limit) checked(run Func) Func {
	switch {
	case !l.set:
		return wrong("limit", "is not set; allowed: AtMost or AtLeast")
	case math.IsNaN(l.warn) || math.IsNaN(l.fail):
		return wrong("limit", "is not a number")
	case l.least && l.fail > l.warn && !math.IsInf(l.warn, -1):
		return wrong("limit", "fails below %v, which is above where it warns (%v)", l.fail, l.warn)
	case !l.least && l.fail < l.warn && !math.IsInf(l.warn, 1):
		return wrong("limit", "fails above %v, which is below where it warns (%v)", l.fail, l.warn)
	}
	return run
}

func (l Limit) judge(ctx context.Context, value float64, unit string) error {
	server.Observe(ctx, value, unit)
	switch {
	case math.IsNaN(value):
		return fmt.Errorf("%v %s", value, unit)
	case l.beyond(value, l.fail):
		return fmt.Errorf("%s, %s", amount(value, unit), l.text(l.fail, unit))
	case l.beyond(value, l.warn):
		return health.Warnf("%s, %s", amount(value, unit), l.text(l.warn, unit))
	}
	return nil
}

func (l Limit) beyond(value, bound float64) bool {
	if l.least {
		return value < bound
	}
	return value > bound
}

func (l Limit) text(bound float64, unit string) string {
	if l.least {
		return "less than " + amount(bound, unit)
	}
	return "more than " + amount(bound, unit)
}

// amount writes four digits where there are more.
func amount(value float64, unit string) string {
	if math.Abs(value) < 1e4 && value != math.Trunc(value) {
		return fmt.Sprintf("%.4g %s", value, unit)
	}
	return fmt.Sprintf("%.0f %s", value, unit)
}
