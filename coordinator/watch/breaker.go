package watch

import "time"

// breaker decides when an address may be tried: freely as long as it answers,
// ever less often while it does not. All who live there share it, so that a dead
// host costs one attempt, however many they are.
//
// Closed, it lets attempts through; after openAfter failures in a row it is
// open; half-open, while one attempt is made to see whether it may close. It
// reads no clock and throws no dice: both are parameters.
type breaker struct {
	failures int       // attempts in a row that came to nothing
	refusals int       // the last of them that were refused
	misses   int       // calls in a row that were not answered in time
	tripped  bool      // by misses
	probing  bool      // an attempt is being made
	until    time.Time // no attempt before; zero: at once
	longest  time.Duration
}

// breakerState is closed, open or half-open.
type breakerState uint8

const (
	stateClosed breakerState = iota
	stateOpen
	stateHalfOpen
	numBreakerStates
)

// String returns the state's name in metrics and commands.
func (s breakerState) String() string { return [...]string{"closed", "open", "half-open"}[s] }

const (
	// openAfter failures in a row, an address is no longer taken for one that
	// merely restarts.
	openAfter = 3
	// leastWait is more than a second, so that two refusals in a row count as
	// two; and firstWait less than two, within which they must have come.
	leastWait = 1100 * time.Millisecond
	firstWait = 1800 * time.Millisecond
	// brokenWait is that after a first attempt that broke, and up to as much
	// more: a connection to a process that is being killed may still be made.
	// What follows is refused, twice, within two seconds.
	brokenWait = 100 * time.Millisecond
	// longestWait is how long a host that has come back may be missed at most.
	longestWait = 15 * time.Second
)

// longestFor is how long one may be missed that has come back: half of
// UnreachableAfter at most, which is what a guard that lets go gives everybody to
// be heard, so that an attempt that hangs and the next both fit in.
func longestFor(unreachableAfter time.Duration) time.Duration {
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

// wait returns for how long no attempt may be made; 0 or less: one may be made
// now.
func (b *breaker) wait(now time.Time) time.Duration {
	if b.until.IsZero() {
		return 0
	}
	return b.until.Sub(now)
}

// begin notes that an attempt is made, and reports whether it is one after a
// failure: such can wait until others had their turn.
func (b *breaker) begin() (again bool) {
	b.probing = true
	return b.failures > 0 && b.refusals != 1
}

// abandoned notes that whoever made the attempt does not want it any more.
func (b *breaker) abandoned() { b.probing = false }

// answered closes it.
func (b *breaker) answered() { *b = breaker{longest: b.longest} }

// failure is how an attempt failed, as far as the next one depends on it.
type failure uint8

const (
	failedRefused failure = iota
	failedBroken          // at once, and not refused
	failedOtherwise
	notTried // we lack what it takes, which says nothing of the address
)

// failed notes that an attempt has. dice, from 0 to 1, is where in the time
// there is the next one falls. A first refusal is looked at again as soon as if
// nothing had come before it.
func (b *breaker) failed(now time.Time, how failure, dice float64) {
	b.probing = false
	if how == notTried {
		b.until = now.Add(growing(1, dice, b.longest))
		return
	}
	b.failures++
	b.refusals++
	if how != failedRefused {
		b.refusals = 0
	}
	wait := growing(b.failures, dice, b.longest)
	switch {
	case b.refusals == 1:
		wait = growing(1, dice, b.longest)
	case b.failures == 1 && how == failedBroken:
		wait = brokenWait + time.Duration(dice*float64(brokenWait))
	}
	b.until = now.Add(wait)
}

// missed notes a call that was not answered in time over a connection that
// seems to stand, and reports whether it is to be given up for that: so many in
// a row, of all that are called there, speak against the connection.
func (b *breaker) missed(now time.Time, dice float64) (opens bool) {
	b.misses++
	if b.misses < openAfter || b.tripped {
		return false
	}
	b.tripped, b.misses, b.failures = true, 0, 1
	b.until = now.Add(growing(1, dice, b.longest))
	return true
}

// growing is how long to wait after n failures in a row: anything (full jitter)
// from leastWait to what doubles with each, longest at most. What failed together
// does not come back together.
func growing(n int, dice float64, longest time.Duration) time.Duration {
	most := firstWait
	for i := 1; i < n && most < longest; i++ {
		most = min(2*most, longest)
	}
	return leastWait + time.Duration(dice*float64(most-leastWait))
}
