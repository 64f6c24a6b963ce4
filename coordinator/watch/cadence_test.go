package watch

import (
	"math"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// TestCadence: when the next poll is, after what was seen. Lower case answers
// are NOT_SERVING.
func TestCadence(t *testing.T) {
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
		"SmS":   2 * time.Second, // what was given up must be seen so often, too
		"SmSS":  every,
		"Smm":   2 * time.Second,
		"Smmm":  every,
		"Sm5":   longestWait,
		"Sm99":  longestWait,
		"Sm99S": 2 * time.Second,
	} {
		c := cadence{every: every, longest: longestWait, settle: 2}
		for i, r := range seen {
			switch r {
			case 'S':
				c.answered(healthpb.HealthCheckResponse_SERVING)
			case 's':
				c.answered(healthpb.HealthCheckResponse_NOT_SERVING)
			case 'm':
				c.missed++
			default:
				c.missed += int(r-'0') * 10
				_ = i
			}
		}
		dice := 0.5
		if want == longestWait {
			dice = 1
		}
		if got := c.next(dice); got != want {
			t.Errorf("%q: %v, want %v", seen, got, want)
		}
	}
}

// TestCadenceBounds: a tenth of jitter; never sooner than a second, nor than is
// configured.
func TestCadenceBounds(t *testing.T) {
	for every, soon := range map[time.Duration]time.Duration{
		time.Second: time.Second, 3 * time.Second: time.Second, 5 * time.Second: time.Second, time.Minute: 12 * time.Second,
	} {
		c := cadence{every: every, longest: longestWait, settle: 2}
		c.answered(healthpb.HealthCheckResponse_SERVING)
		if least, most := c.next(0), c.next(1); least != every*9/10 || most != every*11/10 {
			t.Errorf("every %v: %v to %v", every, least, most)
		}
		if c.missed++; c.next(0.5) != soon {
			t.Errorf("every %v, in doubt: %v, want %v", every, c.next(0.5), soon)
		}
	}
}

// TestCoverage: what is booked counts while it is in the window.
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
	c.book(at(0), at(0), time.Second, 0)
	check(0, 0, 1)
	check(0, time.Second, 0.5)
	c.book(at(10*time.Second), at(8*time.Second), time.Second, 2*time.Second)
	check(10*time.Second, 0, 0.5)
	check(29*time.Second, 0, 0.5)
	check(30*time.Second, 0, 1.0/3)
	check(38*time.Second, 0, 1) // of the two seconds it was late by, one is forgotten
	check(40*time.Second, 0, 1)
	c.book(at(40*time.Second), at(40*time.Second), time.Second, 0) // in the place of the second at 10 s
	check(40*time.Second, 0, 1)
	c.book(at(60*time.Second), at(0), time.Second, time.Minute) // most of it forgotten
	check(60*time.Second, 0, 2.0/30)
	check(24*time.Hour, 0, 1)
}
