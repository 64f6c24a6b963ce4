package watch

import (
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// DefaultPollEvery is how often a target is asked that has Check only;
// LeastPollEvery the least that may be configured.
const (
	DefaultPollEvery = 5 * time.Second
	LeastPollEvery   = time.Second
)

// cadence is how often one target is asked: give or take a tenth, so that what
// was asked together does not stay together; sooner while it is in doubt; and
// ever less often when it has not answered for long. It outlives connections.
type cadence struct {
	every   time.Duration
	longest time.Duration // between two that are not answered, unless every is longer
	settle  int           // answers alike that end a change: so many a better one must be seen

	answer healthpb.HealthCheckResponse_ServingStatus
	heard  bool
	alike  int // answers in a row, since the last change
	missed int // polls in a row
}

// answered notes an answer.
func (c *cadence) answered(s healthpb.HealthCheckResponse_ServingStatus) {
	switch {
	case !c.heard: // nothing to compare it with
		c.alike = c.settle
	case s != c.answer || c.missed > 0:
		c.alike = 1
	default:
		c.alike++
	}
	c.heard, c.answer, c.missed = true, s, 0
}

// soon is how soon it is asked again while in doubt.
func (c *cadence) soon() time.Duration { return min(c.every, max(time.Second, c.every/5)) }

// next is when to ask again. dice is from 0 to 1.
func (c *cadence) next(dice float64) time.Duration {
	switch {
	case c.missed >= openAfter:
		return max(c.every, growing(c.missed-openAfter+1, dice, c.longest))
	case c.missed > 0 || c.alike < c.settle:
		return jitter(c.soon(), dice)
	}
	return jitter(c.every, dice)
}

func jitter(d time.Duration, dice float64) time.Duration {
	return d*9/10 + time.Duration(dice*float64(d/5))
}
