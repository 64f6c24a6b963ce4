package chaos

import (
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// record collects the true states of the targets and the outages of the coordinator. It is
// safe for concurrent use.
type record struct {
	mu      sync.Mutex
	truths  []Truth
	outages []Outage
}

func (r *record) addTruth(t Truth) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.truths = append(r.truths, t)
}

// add records that the targets in ids have the state s from now on, and that s must be published
// within the duration bound. A scenario calls add before it suspends, resumes or kills targets.
func (r *record) add(s State, bound time.Duration, ids ...health.ID) {
	at := time.Now()
	for _, id := range ids {
		r.addTruth(Truth{At: at, ID: id, State: s, Bound: bound})
	}
}

// addUndecided records that the targets in ids must be published with the state s when the
// duration bound has passed. Before that, any state may be published.
func (r *record) addUndecided(s State, bound time.Duration, ids ...health.ID) {
	at := time.Now()
	for _, id := range ids {
		r.addTruth(Truth{At: at, ID: id, State: s, Bound: bound, Undecided: true})
	}
}

// addOutage records that the coordinator could not publish between the times from and to.
func (r *record) addOutage(from, to time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outages = append(r.outages, Outage{from, to})
}

// read returns all true states that were recorded so far, sorted by time, and all outages.
func (r *record) read() ([]Truth, []Outage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	truths := slices.Clone(r.truths)
	slices.SortStableFunc(truths, func(a, b Truth) int { return a.At.Compare(b.At) })
	return truths, slices.Clone(r.outages)
}

// Outage is a time in which the coordinator could not publish. The coordinator was suspended
// or dead, or had not yet reached its targets after a restart.
type Outage struct{ From, To time.Time }

// outages is a list of outages, sorted by time, that do not overlap.
type outages []Outage

// elapsed returns the time from a to b, without the outages between a and b.
func (o outages) elapsed(a, b time.Time) time.Duration {
	d := b.Sub(a)
	for _, one := range o {
		from, to := one.From, one.To
		if from.Before(a) {
			from = a
		}
		if to.After(b) {
			to = b
		}
		if to.After(from) {
			d -= to.Sub(from)
		}
	}
	return d
}
