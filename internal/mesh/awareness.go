package mesh

import "time"

// awareness measures how well this process itself works: a score from 0 (well) to
// maxScore. If this process is late, or instances of several services become silent at once,
// it waits longer before it gives up an instance. The idea is the local health awareness of
// HashiCorp's memberlist (Lifeguard).
type awareness struct {
	score int    // score at the moment at; it falls with time, see current
	at    moment // moment when score was last raised
	// suspectServices is the set of services of which an instance became silent lately.
	suspectServices map[string]bool
	suspectSince    moment // moment when the first of suspectServices was added
	// faultAddresses is the set of addresses that this process could not dial lately, because
	// it lacked a resource.
	faultAddresses map[string]bool
	faultSince     moment // moment when the first of faultAddresses was added
	// awayUntil is the end of the last lateness of the owner that was longer than
	// UnreachableAfter. 0 means that there was no such lateness.
	awayUntil moment
}

const (
	maxScore = 7 // highest score
	// unrelated is the number of services, or of addresses, that must be noted within the
	// time calm to raise the score.
	unrelated = 3
	// calm is the time in which the score falls by one.
	calm = 10 * time.Second
)

// raise raises the score by one.
func (a *awareness) raise(now moment) {
	a.score, a.at = min(maxScore, a.current(now)+1), now
}

// noteLateness raises the score because the owner was late. threshold is UnreachableAfter.
func (a *awareness) noteLateness(now moment, late, threshold time.Duration) {
	a.raise(now + moment(late))
	if late > threshold {
		a.awayUntil = now + moment(late)
	}
}

// noteOwnFault notes that this process could not reach an address because it lacked a
// resource.
func (a *awareness) noteOwnFault(now moment, address string) {
	a.noteName(now, &a.faultAddresses, &a.faultSince, address)
}

// noteSuspect notes that an instance of a service became silent.
func (a *awareness) noteSuspect(now moment, service string) {
	a.noteName(now, &a.suspectServices, &a.suspectSince, service)
}

// noteName adds a name to a set. It first empties the set if the first name was added longer
// than calm ago. When the set has enough names, noteName raises the score and empties the
// set. One name alone never raises the score.
func (a *awareness) noteName(now moment, names *map[string]bool, since *moment, name string) {
	if *names == nil || now-*since > moment(calm) {
		*names, *since = map[string]bool{}, now
	}
	(*names)[name] = true
	if len(*names) == unrelated {
		*names = nil
		a.raise(now)
	}
}

// current returns the score at a moment.
func (a *awareness) current(now moment) int {
	return max(0, a.score-int((now-a.at)/moment(calm)))
}

// patience returns the time for which an instance is suspect before it is given up. This is
// UnreachableAfter for the score 0, and twice as long for the score maxScore.
func (e *env) patience() time.Duration {
	after := e.policy.UnreachableAfter
	return after + after*time.Duration(e.awareness.current(e.now))/maxScore
}
