package chaos

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
)

// OutOfOrder returns how many updates of one watcher were out of order, and texts about the
// first of these updates. Within an epoch, revisions must rise. The published states of a
// target must be true states of the target, in the same order. Updates of different epochs
// are not compared, because a killed coordinator may not have stored its last updates.
func OutOfOrder(truths []Truth, seen []Seen) (n int, faults []string) {
	all := map[health.ID]*targetHistory{}
	for _, t := range truths {
		if all[t.ID] == nil {
			all[t.ID] = &targetHistory{}
		}
		all[t.ID].truths = append(all[t.ID].truths, t)
	}
	for _, s := range seen {
		one := all[s.ID]
		if one == nil {
			continue
		}
		if why := one.faultOf(s); why != "" {
			if n++; len(faults) < maxFaults {
				faults = append(faults, fmt.Sprintf("%s: %s at %s: %s", s.ID, s.State, clock(s.At), why))
			}
		}
		one.last = s
	}
	return n, faults
}

// targetHistory has the true states of one target, and the last of these states that was published.
type targetHistory struct {
	truths  []Truth
	matched int  // index in truths of the last true state that was published
	last    Seen // the last update of the target
}

// faultOf returns a text that says why the update s is out of order. The text is empty if s is
// in order.
func (t *targetHistory) faultOf(s Seen) string {
	switch {
	case s.Epoch != t.last.Epoch:
		t.matched = 0
	case s.Revision < t.last.Revision || s.Revision == t.last.Revision && s.State != t.last.State:
		return fmt.Sprintf("revision %d after %d", s.Revision, t.last.Revision)
	case s.State == t.last.State:
		return ""
	}
	if s.State == starting {
		return ""
	}
	for i, truth := range t.truths[t.matched:] {
		if (truth.State.matches(s.State) || truth.Undecided) && !truth.At.After(s.At) {
			t.matched += i
			return ""
		}
	}
	return "the target did not have this state"
}

// WrongEnds returns the number of targets whose last published state differs from their last true
// state. faults describes the first of these targets. view has the last update of each target.
func WrongEnds(truths []Truth, view map[health.ID]Seen) (n int, faults []string) {
	last := map[health.ID]State{}
	for _, t := range truths {
		last[t.ID] = t.State
	}
	for id, want := range last {
		got := view[id].State
		if got == "" {
			got = Gone
		}
		if want.matches(got) {
			continue
		}
		if n++; len(faults) < maxFaults {
			faults = append(faults, fmt.Sprintf("%s: ends as %s, want %s", id, got, want))
		}
	}
	return n, faults
}
