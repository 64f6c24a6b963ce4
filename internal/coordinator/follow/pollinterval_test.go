package follow

import (
	"math"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// TestPollInterval tests when the next poll is, after a series of answers. S is
// SERVING, s is NOT_SERVING, m is a missed poll, and a digit is ten times as many.
func TestPollInterval(t *testing.T) {
	const every = 10 * time.Second
	for seen, want := range map[string]time.Duration{
		"":      2 * time.Second,
		"S":     every,
		"s":     every,
		"SSS":   every,
		"Ss":    2 * time.Second,
		"Sss":   every,
		"SsS":   2 * time.Second,
		"m":     2 * time.Second,
		"Sm":    2 * time.Second,
		"SmS":   2 * time.Second, // also after a missed poll, the status must be seen twice
		"SmSS":  every,
		"Smm":   2 * time.Second,
		"Smmm":  every,
		"Sm5":   longestWait,
		"Sm99":  longestWait,
		"Sm99S": 2 * time.Second,
	} {
		c := pollInterval{every: every, longest: longestWait, stableAfter: 2}
		for i, r := range seen {
			switch r {
			case 'S':
				c.answered(int32(healthpb.HealthCheckResponse_SERVING))
			case 's':
				c.answered(int32(healthpb.HealthCheckResponse_NOT_SERVING))
			case 'm':
				c.missed++
			default:
				c.missed += int(r-'0') * 10
				_ = i
			}
		}
		random := 0.5
		switch want {
		case longestWait:
			random = 1
		case 2 * time.Second: // the shortest interval of a suspect target
			random = 0
		}
		if got := c.next(random); got != want {
			t.Errorf("after %q: %v, want %v", seen, got, want)
		}
	}
}

// TestPollIntervalBounds tests the random range of a tenth. The interval of a suspect
// target is never below a second, nor above the configured one.
func TestPollIntervalBounds(t *testing.T) {
	for every, soon := range map[time.Duration]time.Duration{
		time.Second: time.Second, 3 * time.Second: time.Second, 5 * time.Second: time.Second, time.Minute: 12 * time.Second,
	} {
		c := pollInterval{every: every, longest: longestWait, stableAfter: 2}
		c.answered(int32(healthpb.HealthCheckResponse_SERVING))
		if least, most := c.next(0), c.next(1); least != every*9/10 || most != every*11/10 {
			t.Errorf("every %v: %v to %v", every, least, most)
		}
		c.missed++
		if least, most := c.next(0), c.next(1); least != soon || most != soon*11/10 {
			t.Errorf("every %v, suspect: %v to %v", every, least, most)
		}
	}
}

// TestCoverage tests that recorded polls count while they are within the window.
func TestCoverage(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	c := coverage{began: start}
	check := func(d, waiting time.Duration, want float64) {
		t.Helper()
		if got := c.ratio(at(d), waiting); math.Abs(got-want) > 1e-6 {
			t.Errorf("at %v: %v, want %v", d, got, want)
		}
	}
	check(0, 0, 1)
	check(0, time.Second, 0)
	c.record(at(0), at(0), time.Second, 0)
	check(0, 0, 1)
	check(0, time.Second, 0.5)
	c.record(at(10*time.Second), at(8*time.Second), time.Second, 2*time.Second)
	check(10*time.Second, 0, 0.5)
	check(29*time.Second, 0, 0.5)
	check(30*time.Second, 0, 1.0/3)
	check(38*time.Second, 0, 1) // one of the two late seconds has left the window
	check(40*time.Second, 0, 1)
	c.record(at(40*time.Second), at(40*time.Second), time.Second, 0) // it reuses the entry of second 10
	check(40*time.Second, 0, 1)
	c.record(at(60*time.Second), at(0), time.Second, time.Minute) // most of the lateness is outside the window
	check(60*time.Second, 0, 2.0/30)
	check(24*time.Hour, 0, 1)
}
