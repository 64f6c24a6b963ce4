package follow

import (
	"strings"
	"testing"
	"time"
)

// TestBreaker tests the state and the delay after a series of events. A random value of
// 0 gives the shortest wait, 1 the longest.
func TestBreaker(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	how := map[rune]failure{
		'f': failedOtherwise, 'F': failedOtherwise, 'r': failedRefused, 'R': failedRefused, 'k': failedBroken, 'K': failedBroken,
	}
	for what, c := range map[string]struct {
		// f: an attempt fails; F: the same, with the longest wait; r and R: it is refused; k
		// and K: it breaks; m and M: a call is missed; a: an attempt succeeds; b: an attempt
		// begins; x: it is abandoned.
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
				b.attemptFailed(start, how[does], 0)
			case 'F', 'R', 'K':
				b.attemptFailed(start, how[does], 1)
			case 'm':
				b.callMissed(start, 0)
			case 'M':
				if !b.callMissed(start, 1) {
					t.Errorf("%s: callMissed does not report that the breaker opens", what)
				}
			case 'a':
				b.reset()
			case 'b':
				b.attemptBegins()
			case 'x':
				b.attemptAbandoned()
			}
		}
		if b.state() != c.state || b.delay(start) != c.wait {
			t.Errorf("%s: state %v, delay %v; want %v, %v", what, b.state(), b.delay(start), c.state, c.wait)
		}
		if wait := b.delay(start.Add(longestWait)); wait > 0 {
			t.Errorf("%s: a delay of %v after the longest wait", what, wait)
		}
	}
}

// TestBreakerAgain tests which attempts let first attempts to other addresses go before
// them.
func TestBreakerAgain(t *testing.T) {
	b := breaker{longest: longestWait}
	if b.attemptBegins() {
		t.Error("the first attempt counts as one after a failure")
	}
	b.attemptFailed(time.Time{}, failedOtherwise, 0)
	if !b.attemptBegins() {
		t.Error("an attempt after a failure counts as a first one")
	}
	b.reset()
	if b.attemptBegins() {
		t.Error("an attempt after a success counts as one after a failure")
	}
}

// TestBackoff tests the bounds of the wait after a number of failures.
func TestBackoff(t *testing.T) {
	for n, most := range map[int]time.Duration{
		1: firstWait, 2: 2 * firstWait, 3: 4 * firstWait, 4: 8 * firstWait, 5: longestWait, 1000: longestWait,
	} {
		for random, want := range map[float64]time.Duration{0: leastWait, 0.5: (leastWait + most) / 2, 1: most} {
			if got := backoff(n, random, longestWait); got != want {
				t.Errorf("after %d failures, random %v: wait %v, want %v", n, random, got, want)
			}
		}
	}
}

// TestLongestWait tests that the longest wait is half of UnreachableAfter, within its
// own bounds.
func TestLongestWait(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		time.Second: firstWait, 10 * time.Second: 5 * time.Second, 15 * time.Second: 7500 * time.Millisecond, time.Hour: longestWait,
	} {
		if got := longestWaitFor(after); got != want {
			t.Errorf("%v: %v, want %v", after, got, want)
		}
	}
}

// TestBreakerStates tests that each state has a name of its own.
func TestBreakerStates(t *testing.T) {
	names := map[string]bool{}
	for s := range numBreakerStates {
		names[s.String()] = true
	}
	if len(names) != int(numBreakerStates) {
		t.Errorf("names of the states: %v, want %d different ones", names, numBreakerStates)
	}
}
