package chaos

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
)

// Disorder says what one watcher was told out of order: within an epoch
// revisions must rise, and the states of a target must be among those it had, in
// their order. It returns how often not, and the first few in words. A new epoch
// begins anew: what a killed coordinator published last, it may not have stored.
func Disorder(truths []Truth, seen []Seen) (n int, faults []string) {
	all := map[health.ID]*story{}
	for _, t := range truths {
		if all[t.ID] == nil {
			all[t.ID] = &story{}
		}
		all[t.ID].truths = append(all[t.ID].truths, t)
	}
	for _, s := range seen {
		one := all[s.ID]
		if one == nil {
			continue
		}
		if why := one.goesOn(s); why != "" {
			if n++; len(faults) < maxFaults {
				faults = append(faults, fmt.Sprintf("%s: %s at %s: %s", s.ID, s.State, clock(s.At), why))
			}
		}
		one.last = s
	}
	return n, faults
}

// story is what a target was, and up to where that was told.
type story struct {
	truths []Truth
	told   int // of truths
	last   Seen
}

// goesOn says what is wrong with s after what was told before.
func (t *story) goesOn(s Seen) string {
	switch {
	case s.Epoch != t.last.Epoch:
		t.told = 0
	case s.Revision < t.last.Revision || s.Revision == t.last.Revision && s.State != t.last.State:
		return fmt.Sprintf("revision %d after %d", s.Revision, t.last.Revision)
	case s.State == t.last.State:
		return ""
	}
	if s.State == starting {
		return ""
	}
	for i, truth := range t.truths[t.told:] {
		if truth.State == s.State && !truth.At.After(s.At) {
			t.told += i
			return ""
		}
	}
	return "it had not become that"
}

// Astray counts the targets whose last state is not what is true of them.
func Astray(truths []Truth, view map[health.ID]Seen) (n int, faults []string) {
	last := map[health.ID]State{}
	for _, t := range truths {
		last[t.ID] = t.State
	}
	for id, want := range last {
		got := view[id].State
		if got == "" {
			got = Gone
		}
		if got == want {
			continue
		}
		if n++; len(faults) < maxFaults {
			faults = append(faults, fmt.Sprintf("%s: ends as %s, and is %s", id, got, want))
		}
	}
	return n, faults
}
