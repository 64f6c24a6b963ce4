package follow

import (
	"time"

	"github.com/meshhealth/meshhealth/internal/delay"
)

// breaker decides when an address may be dialled. While the address answers, it may be
// dialled at any time. While it does not answer, the waits between attempts grow. All
// instances at the address share the breaker, so that a dead host costs one attempt and
// not one for each instance.
//
// A closed breaker permits attempts. It opens after openAfter failures in a row. It is
// half-open while one attempt decides whether it closes. The breaker reads no clock and
// no random number generator: times and random numbers are parameters. A random number is
// from 0 to 1.
type breaker struct {
	failures int           // number of failed attempts to connect in a row
	refusals int           // number of attempts to connect in a row that the host refused; 0 if the last attempt failed in another way
	misses   int           // number of health calls in a row that were not answered in time
	tripped  bool          // the breaker was opened by unanswered calls, and not by failed attempts to connect
	probing  bool          // an attempt to connect is in progress
	until    time.Time     // time at which the next attempt to connect is permitted; zero if it is permitted now
	longest  time.Duration // longest wait between two attempts to connect
}

// breakerState is the state of a breaker: closed, open or half-open.
type breakerState uint8

const (
	stateClosed breakerState = iota
	stateOpen
	stateHalfOpen
	numBreakerStates
)

// String returns the name of the state, as metrics and commands show it.
func (s breakerState) String() string { return [...]string{"closed", "open", "half-open"}[s] }

const (
	// openAfter is the number of failures in a row that opens a breaker. After fewer
	// failures, the process at the address may just be restarting.
	openAfter = 3
	// The wait after a first failed attempt to connect is random, from leastWait to firstWait.
	// If a host refuses two connections within 1 s, the registry counts only one refusal. So
	// both constants are longer than 1 s.
	leastWait = 1100 * time.Millisecond
	firstWait = 1800 * time.Millisecond
	// If the connection of a first attempt broke at once, the wait is random, from
	// brokenWait to twice brokenWait. The kernel still accepts connections for a process
	// that is being killed, and refuses them soon after. After this short wait, the next
	// attempt finds out whether the kernel refuses connections now.
	brokenWait = 100 * time.Millisecond
	// longestWait is the longest wait between two attempts to connect to an address. So a host
	// that works again is found within this time.
	longestWait = 15 * time.Second
)

// longestWaitFor returns the longest wait between two attempts to connect. unreachableAfter is
// the time without an answer after which an instance counts as unreachable. Two attempts must
// fit into this time, even if the first one hangs. So the result is at most half of this time,
// but never less than firstWait.
func longestWaitFor(unreachableAfter time.Duration) time.Duration {
	return max(firstWait, min(longestWait, unreachableAfter/2))
}

func (b *breaker) state() breakerState {
	switch {
	case !b.tripped && b.failures < openAfter:
		return stateClosed
	case b.probing:
		return stateHalfOpen
	}
	return stateOpen
}

// delay returns the time until the next attempt to connect is permitted. If the result is 0 or
// less, an attempt is permitted now.
func (b *breaker) delay(now time.Time) time.Duration {
	if b.until.IsZero() {
		return 0
	}
	return b.until.Sub(now)
}

// attemptBegins records that an attempt to connect begins. redial is true if the last attempt
// failed. But redial is false if the host refused the last attempt and did not refuse the
// attempt before. At most half of the dial slots (permits to dial) may be used for redials.
func (b *breaker) attemptBegins() (redial bool) {
	b.probing = true
	return b.failures > 0 && b.refusals != 1
}

// attemptAbandoned records that the caller gave up its attempt to connect before the attempt
// had a result.
func (b *breaker) attemptAbandoned() { b.probing = false }

// reset closes the breaker after a successful attempt to connect.
func (b *breaker) reset() { *b = breaker{longest: b.longest} }

// failure is the way in which an attempt to connect failed. The wait before the next attempt
// depends on the failure.
type failure uint8

const (
	failedRefused failure = iota
	failedBroken          // the target accepted the connection, which broke at once
	failedOtherwise
	notTried // the coordinator lacked a resource, so the failure is no evidence about the address
)

// attemptFailed records a failed attempt and plans the next one. If the host refused this
// attempt, but did not refuse the attempt before, the wait is as short as after a first
// failure.
func (b *breaker) attemptFailed(now time.Time, how failure, random float64) {
	b.probing = false
	if how == notTried {
		b.until = now.Add(backoff(1, random, b.longest))
		return
	}
	b.failures++
	b.refusals++
	if how != failedRefused {
		b.refusals = 0
	}
	wait := backoff(b.failures, random, b.longest)
	switch {
	case b.refusals == 1:
		wait = backoff(1, random, b.longest)
	case b.failures == 1 && how == failedBroken:
		wait = delay.Between(brokenWait, 2*brokenWait, random)
	}
	b.until = now.Add(wait)
}

// callMissed records a health call that was not answered in time on a connection that has not
// broken. opens is true if the breaker opens now, after openAfter unanswered calls in a row. In
// this case the caller must close the connection. The calls of all instances at the address
// are counted together.
func (b *breaker) callMissed(now time.Time, random float64) (opens bool) {
	b.misses++
	if b.misses < openAfter || b.tripped {
		return false
	}
	b.tripped, b.misses, b.failures = true, 0, 1
	b.until = now.Add(backoff(1, random, b.longest))
	return true
}

// backoff returns how long to wait after n failures in a row. The result lies between
// leastWait and a bound that doubles with each failure, up to longest. The whole range
// is used (full jitter), so that targets that failed together are not retried together.
func backoff(n int, random float64, longest time.Duration) time.Duration {
	return delay.Between(leastWait, delay.Doubled(firstWait, n-1, longest), random)
}
