package watch

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBreaker: what each thing that happens makes of it. A dice of 0 is the
// shortest wait, 1 the longest.
func TestBreaker(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	how := map[rune]failure{
		'f': failedOtherwise, 'F': failedOtherwise, 'r': failedRefused, 'R': failedRefused, 'k': failedBroken, 'K': failedBroken,
	}
	for what, c := range map[string]struct {
		// f: fails, F: with the longest wait, r and R: is refused, k and K: breaks,
		// m: misses, a: answers, b: begins, x: is abandoned
		does  string
		state breakerState
		wait  time.Duration
	}{
		"new":                         {"", stateClosed, 0},
		"an attempt":                  {"b", stateClosed, 0},
		"one failure":                 {"bf", stateClosed, leastWait},
		"one failure, at most":        {"bF", stateClosed, firstWait},
		"two failures":                {"bfbF", stateClosed, 2 * firstWait},
		"open":                        {"bfbfbF", stateOpen, 4 * firstWait},
		"the longest wait":            {"bfbfbfbfbF", stateOpen, longestWait},
		"for ever":                    {strings.Repeat("bF", 100), stateOpen, longestWait},
		"the shortest wait":           {strings.Repeat("bf", 100), stateOpen, leastWait},
		"half-open":                   {"bfbfbfb", stateHalfOpen, leastWait},
		"probed in vain":              {"bfbfbfbf", stateOpen, leastWait},
		"the probe is abandoned":      {"bfbfbfbx", stateOpen, leastWait},
		"closes":                      {"bfbfbfba", stateClosed, 0},
		"begins anew":                 {"bfbfbfbabf", stateClosed, leastWait},
		"answers in between":          {"bfbfabfbf", stateClosed, leastWait},
		"two misses":                  {"mm", stateClosed, 0},
		"three misses":                {"mmM", stateOpen, firstWait},
		"misses, an answer, misses":   {"mmamm", stateClosed, 0},
		"more misses while it is":     {"mmMmmmm", stateOpen, firstWait},
		"missed, then dialled":        {"mmmb", stateHalfOpen, leastWait},
		"missed, then dialled, fails": {"mmmbF", stateOpen, 2 * firstWait},
		"missed, then answers":        {"mmmba", stateClosed, 0},
		"refused":                     {"bR", stateClosed, firstWait},
		"refused twice":               {"bRbR", stateClosed, 2 * firstWait},
		"broken":                      {"bk", stateClosed, brokenWait},
		"broken, at most":             {"bK", stateClosed, 2 * brokenWait},
		"broken twice":                {"bKbK", stateClosed, 2 * firstWait},
		"broken, then refused":        {"bKbR", stateClosed, firstWait},
		"broken, then refused twice":  {"bKbRbR", stateOpen, 4 * firstWait},
		"broken after a refusal":      {"bRbK", stateClosed, 2 * firstWait},
		"refused after many failures": {"bFbFbFbFbR", stateOpen, firstWait},
	} {
		b := breaker{longest: longestWait}
		for _, does := range c.does {
			switch does {
			case 'f', 'r', 'k':
				b.failed(start, how[does], 0)
			case 'F', 'R', 'K':
				b.failed(start, how[does], 1)
			case 'm':
				b.missed(start, 0)
			case 'M':
				if !b.missed(start, 1) {
					t.Errorf("%s: it does not say that it opens", what)
				}
			case 'a':
				b.answered()
			case 'b':
				b.begin()
			case 'x':
				b.abandoned()
			}
		}
		if b.state() != c.state || b.wait(start) != c.wait {
			t.Errorf("%s: %v, %v to wait; want %v, %v", what, b.state(), b.wait(start), c.state, c.wait)
		}
		if wait := b.wait(start.Add(longestWait)); wait > 0 {
			t.Errorf("%s: still %v to wait after the longest wait", what, wait)
		}
	}
}

// TestBreakerAgain: which attempts can wait until others had their turn.
func TestBreakerAgain(t *testing.T) {
	b := breaker{longest: longestWait}
	if b.begin() {
		t.Error("the first attempt")
	}
	b.failed(time.Time{}, failedOtherwise, 0)
	if !b.begin() {
		t.Error("one after a failure is like the first")
	}
	b.answered()
	if b.begin() {
		t.Error("one after an answer")
	}
}

// TestGrowing: within the bounds of detection and recovery, all of the time
// there is being used.
func TestGrowing(t *testing.T) {
	for n, most := range map[int]time.Duration{
		1: firstWait, 2: 2 * firstWait, 3: 4 * firstWait, 4: 8 * firstWait, 5: longestWait, 1000: longestWait,
	} {
		for dice, want := range map[float64]time.Duration{0: leastWait, 0.5: (leastWait + most) / 2, 1: most} {
			if got := growing(n, dice, longestWait); got != want {
				t.Errorf("after %d failures, dice %v: %v, want %v", n, dice, got, want)
			}
		}
	}
}

// TestLongest: it fits into what a guard that lets go gives everybody.
func TestLongest(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		time.Second: firstWait, 10 * time.Second: 5 * time.Second, 15 * time.Second: 7500 * time.Millisecond, time.Hour: longestWait,
	} {
		if got := longestFor(after); got != want {
			t.Errorf("%v: %v, want %v", after, got, want)
		}
	}
}

// TestBreakerStates: each has its name.
func TestBreakerStates(t *testing.T) {
	names := map[string]bool{}
	for s := range numBreakerStates {
		names[s.String()] = true
	}
	if len(names) != int(numBreakerStates) {
		t.Error(fmt.Sprint(names))
	}
}
