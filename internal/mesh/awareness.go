package mesh

import "time"

// awareness measures whether this process itself has problems. The score is 0 without problems
// and at most maxScore. It rises if this process is late, or if instances of several services
// become silent at the same time. With a higher score, this process waits longer before it
// declares an instance dead. The method is the local health awareness of HashiCorp's
// memberlist (Lifeguard).
type awareness struct {
	score int    // score right after its last rise; the method current subtracts the decay since this rise
	at    moment // moment of the last rise of score
	// suspectServices is the set of services with an instance that became silent recently.
	suspectServices map[string]bool
	suspectSince    moment // moment when the first name was added to suspectServices
	// faultAddresses is the set of addresses to which this process could not connect recently,
	// because it lacked a resource such as file descriptors.
	faultAddresses map[string]bool
	faultSince     moment // moment when the first address was added to faultAddresses
	// awayUntil is the end of the last period in which this process was late by more than
	// UnreachableAfter. 0 means that this process was never so late.
	awayUntil moment
}

const (
	maxScore = 7 // highest score
	// minNames is how many different services, or addresses, must have trouble within
	// decayTime to raise the score.
	minNames = 3
	// decayTime is the time after which the score falls by one.
	decayTime = 10 * time.Second
)

// raise raises the score by one.
func (a *awareness) raise(now moment) {
	a.score, a.at = min(maxScore, a.current(now)+1), now
}

// noteLateness raises the score because of the lateness of this process. threshold is the policy's
// UnreachableAfter.
func (a *awareness) noteLateness(now moment, lateness, threshold time.Duration) {
	a.raise(now + moment(lateness))
	if lateness > threshold {
		a.awayUntil = now + moment(lateness)
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

// noteName adds a name to a set. If the oldest name in the set is older than decayTime, noteName
// first empties the set. When the set has minNames names, noteName raises the score and empties
// the set. So one name alone never raises the score.
func (a *awareness) noteName(now moment, names *map[string]bool, since *moment, name string) {
	if *names == nil || now-*since > moment(decayTime) {
		*names, *since = map[string]bool{}, now
	}
	(*names)[name] = true
	if len(*names) == minNames {
		*names = nil
		a.raise(now)
	}
}

// current returns the score at the moment now. The score falls by one in each decayTime.
func (a *awareness) current(now moment) int {
	return max(0, a.score-int((now-a.at)/moment(decayTime)))
}

// patience returns how long an instance may stay suspect before it is declared dead. This time is
// UnreachableAfter for the score 0, and twice as long for maxScore.
func (e *env) patience() time.Duration {
	shortest := e.policy.UnreachableAfter
	return shortest + shortest*time.Duration(e.awareness.current(e.now))/maxScore
}
