package chaos

import (
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// record is what the targets have become, and when the coordinator was not
// itself.
type record struct {
	mu      sync.Mutex
	truths  []Truth
	outages []Outage
}

func (r *record) truth(t Truth) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.truths = append(r.truths, t)
}

// now writes down what we have done to targets ourselves.
func (r *record) now(s State, bound time.Duration, ids ...health.ID) {
	at := time.Now()
	for _, id := range ids {
		r.truth(Truth{At: at, ID: id, State: s, Bound: bound})
	}
}

// outage writes down that nothing could be published between two times.
func (r *record) outage(from, to time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outages = append(r.outages, Outage{from, to})
}

// read returns what there is, by time.
func (r *record) read() ([]Truth, []Outage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	truths := slices.Clone(r.truths)
	slices.SortStableFunc(truths, func(a, b Truth) int { return a.At.Compare(b.At) })
	return truths, slices.Clone(r.outages)
}
