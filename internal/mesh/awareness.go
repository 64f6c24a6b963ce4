package mesh

import "time"

// awareness measures whether this process itself has problems. The score is 0 without problems
// and at most maxScore. It rises if this process is late, or if instances of several services
// become silent at the same time. With a higher score, this process waits longer before it
// declares an instance dead. The method is the local health awareness of HashiCorp's
// memberlist (Lifeguard).
type awareness struct {
	score int    // score when it was raised last; the method current subtracts what has decayed since then
	at    moment // moment when score was raised last
	// suspectServices is the set of services with an instance that became silent recently.
	suspectServices map[string]bool
	suspectSince    moment // moment when the first of suspectServices was added
	// faultAddresses is the set of addresses to which this process could not connect recently,
	// because it lacked a resource such as file descriptors.
	faultAddresses map[string]bool
	faultSince     moment // moment when the first of faultAddresses was added
	// awayUntil is the end of the last time in which this process was late by more than
	// UnreachableAfter. 0 means that this has not happened.
	awayUntil moment
}

const (
	maxScore = 7 // highest score
	// unrelated is how many different services, or addresses, must have trouble within the
	// time calm to raise the score.
	unrelated = 3
	// calm is the time after which the score falls by one.
	calm = 10 * time.Second
)

// raise raises the score by one.
func (a *awareness) raise(now moment) {
	a.score, a.at = min(maxScore, a.current(now)+1), now
}

// noteLateness raises the score, because this process was late by the time late. threshold is the
// policy's UnreachableAfter.
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

// noteName adds a name to a set. If the first name was added longer than calm ago, noteName
// empties the set before that. When the set has as many names as unrelated says, noteName
// raises the score and empties the set. So one name alone never raises the score.
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

// patience returns the time for which an instance may be silent, as a suspect, before it is
// declared dead. It is UnreachableAfter for the score 0, and twice as long for maxScore.
func (e *env) patience() time.Duration {
	after := e.policy.UnreachableAfter
	return after + after*time.Duration(e.awareness.current(e.now))/maxScore
}
