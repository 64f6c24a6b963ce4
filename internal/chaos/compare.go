package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Case has the truths and the updates that [Compare] compares. For each ID, the Truths and
// the updates in Seen are in time order. An ID without truths is not compared.
type Case struct {
	Truths  []Truth
	Seen    []Seen
	Outages []Outage
	// Only updates and truths from From until To are compared. The mesh was set up
	// before From.
	From, To time.Time
}

// Count is the result of [Compare].
type Count struct {
	Transitions, False, Missed, Late int
	// Detections has, for each published truth, the time from the truth until it was
	// published, in ascending order. Outages and Truth.Hold are subtracted.
	Detections []time.Duration
	// Faults describe the first maxFaults errors.
	Faults []string
}

// maxFaults limits the number of faults that are described in text.
const maxFaults = 20

// Compare counts the published states that were not true, and the truths that were
// published late or never.
func Compare(c *Case) Count {
	var n Count
	seen := map[health.ID][]Seen{}
	for _, s := range c.Seen {
		seen[s.ID] = append(seen[s.ID], s)
	}
	truths := map[health.ID][]Truth{}
	for _, t := range c.Truths {
		truths[t.ID] = append(truths[t.ID], t)
	}
	for _, id := range slices.SortedFunc(maps.Keys(truths), health.ID.Compare) {
		one := comparison{Case: c, Count: &n, truths: truths[id], changes: stateChanges(seen[id])}
		one.compareTarget()
	}
	slices.Sort(n.Detections)
	return n
}

// stateChanges returns the updates of one target without those that did not change its state.
func stateChanges(seen []Seen) []Seen {
	return slices.CompactFunc(slices.Clone(seen), func(a, b Seen) bool { return a.State == b.State })
}

// comparison compares the truths and the updates of one target.
type comparison struct {
	*Case
	*Count
	truths  []Truth
	changes []Seen
}

func (t *comparison) compareTarget() {
	for i, s := range t.changes {
		if s.At.Before(t.From) || s.At.After(t.To) {
			continue
		}
		t.Transitions++
		if !t.wasTrue(s) && !t.isNewName(i) {
			t.False++
			t.addFault("%s: %s (%s) at %s: %s", s.ID, s.State, s.Cause, clock(s.At), t.truthAt(i))
		}
	}
	for i := range t.truths {
		if !t.truths[i].At.Before(t.From) {
			t.findPublished(i)
		}
	}
}

// isNewName reports whether change i introduces a name that was not published before.
// Such a name is STARTING until the coordinator has received a status of the target.
func (t *comparison) isNewName(i int) bool {
	return t.changes[i].State == starting && (i == 0 || t.changes[i-1].State == Gone)
}

// wasTrue reports whether s was true when it was published. A truth that ended before the
// publication also counts, if the time between the two is at most its bound.
func (t *comparison) wasTrue(s Seen) bool {
	for i, truth := range t.truths {
		switch {
		case truth.At.After(s.At):
		case truth.State.matches(s.State) && outages(t.Outages).elapsed(t.endOf(i), s.At) <= truth.Bound:
			return true
		case truth.Undecided && outages(t.Outages).elapsed(truth.At, s.At) <= truth.Bound:
			return true
		}
	}
	return false
}

// endOf returns the time at which truth i ended. The last truth ends after the comparison.
func (t *comparison) endOf(i int) time.Time {
	if i+1 < len(t.truths) {
		return t.truths[i+1].At
	}
	return t.To.Add(time.Hour)
}

// findPublished looks for truth i in the published states and counts it as missed or
// late.
func (t *comparison) findPublished(i int) {
	truth := t.truths[i]
	end := t.endOf(i)
	if end.After(t.To) {
		end = t.To
	}
	lasted := outages(t.Outages).elapsed(truth.At, end) > truth.Bound
	from := t.dueAfter(truth)
	if truth.State.matches(t.stateAt(from)) {
		return // the true state was already published, and the state before was too short to be
	}
	at, ok := t.firstSeen(truth, from, end)
	switch took := outages(t.Outages).elapsed(truth.At, at); {
	case !ok && lasted:
		t.Missed++
		t.addFault("%s: %s at %s was never published", truth.ID, truth.State, clock(truth.At))
	case !ok:
	case lasted && took > truth.Bound:
		t.Late++
		t.addFault("%s: %s at %s was published after %v, want %v", truth.ID, truth.State, clock(truth.At), took.Round(time.Millisecond), truth.Bound)
		t.addDetection(took - truth.Hold)
	case !at.After(end):
		t.addDetection(took - truth.Hold)
	}
}

// dueAfter returns the time after which a truth must be published. For an undecided
// truth this is the last change within the bound that disagrees with the truth.
func (t *comparison) dueAfter(truth Truth) time.Time {
	last := truth.At
	for _, s := range t.changes {
		early := outages(t.Outages).elapsed(truth.At, s.At) <= truth.Bound
		if truth.Undecided && early && s.At.After(last) && !truth.State.matches(s.State) {
			last = s.At
		}
	}
	return last
}

func (t *comparison) addDetection(took time.Duration) {
	t.Detections = append(t.Detections, max(took, 0))
}

// stateAt returns the state that was published last before a time, or an empty text.
func (t *comparison) stateAt(at time.Time) State {
	i, _ := slices.BinarySearchFunc(t.changes, at, func(s Seen, at time.Time) int { return cmp.Or(s.At.Compare(at), -1) })
	if i == 0 {
		return ""
	}
	return t.changes[i-1].State
}

// firstSeen returns the time at which a truth was first published after from. It reports false
// if the truth was never published, or was published more than its bound after end.
func (t *comparison) firstSeen(truth Truth, from, end time.Time) (time.Time, bool) {
	for _, s := range t.changes {
		if truth.State.matches(s.State) && s.At.After(from) {
			return s.At, outages(t.Outages).elapsed(end, s.At) <= truth.Bound
		}
	}
	return time.Time{}, false
}

// truthAt returns a text that says which state was true at the time of a change.
func (t *comparison) truthAt(change int) string {
	at := t.changes[change].At
	text := "no truth is known before"
	for i := range t.truths {
		if !t.truths[i].At.After(at) {
			text = fmt.Sprintf("it was %s since %s", t.truths[i].State, clock(t.truths[i].At))
		}
	}
	return text
}

func (t *comparison) addFault(format string, args ...any) {
	if len(t.Faults) < maxFaults {
		t.Faults = append(t.Faults, fmt.Sprintf(format, args...))
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
