package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Case has the input of [Compare]. For each ID, Truths and Seen must be in time order. Updates of
// an ID that Truths does not contain are ignored.
type Case struct {
	Truths  []Truth
	Seen    []Seen // the updates that a watcher has received
	Outages []Outage
	// Compare ignores everything before From and after To. Before From, the scenario sets up
	// the mesh.
	From, To time.Time
}

// Count is the result of [Compare].
type Count struct {
	Transitions, False, Missed, Late int
	// Detections has one duration for each true state that was published, in ascending order: the time
	// from the change of the target until the change was published. The time of outages and
	// Truth.Hold are subtracted.
	Detections []time.Duration
	// Faults has one text for each of the first 20 false, missed or late states.
	Faults []string
}

// maxFaults is the largest number of texts in a list of errors. Further errors are only counted.
const maxFaults = 20

// Compare counts three kinds of errors: published states that were not true, true states that
// were never published, and true states that were published too late.
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

// stateChanges returns the updates that changed the state of a target. seen has all updates of
// one target, in time order.
func stateChanges(seen []Seen) []Seen {
	return slices.CompactFunc(slices.Clone(seen), func(a, b Seen) bool { return a.State == b.State })
}

// comparison compares the true states of one target with the updates that a watcher received.
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

// isNewName reports whether change i publishes a new target as STARTING. A target is STARTING until
// the coordinator has received a status of the target.
func (t *comparison) isNewName(i int) bool {
	return t.changes[i].State == starting && (i == 0 || t.changes[i-1].State == Gone)
}

// wasTrue reports whether the published state s was true at the time of the publication, or had
// been true at most Truth.Bound earlier. If a true state is undecided (Truth.Undecided), any
// published state counts as true within Truth.Bound after its begin.
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

// endOf returns the time at which the true state with the index i ended, because the next true
// state of the target began. The last true state does not end: for its index, endOf returns a time
// after t.To.
func (t *comparison) endOf(i int) time.Time {
	if i+1 < len(t.truths) {
		return t.truths[i+1].At
	}
	return t.To.Add(time.Hour)
}

// findPublished looks for the time at which the true state with the index i was published. A state
// that lasted longer than its bound (Truth.Bound) counts as missed if it was never published. It
// counts as late if it was published after its bound.
func (t *comparison) findPublished(i int) {
	truth := t.truths[i]
	end := t.endOf(i)
	if end.After(t.To) {
		end = t.To
	}
	lasted := outages(t.Outages).elapsed(truth.At, end) > truth.Bound
	from := t.dueAfter(truth)
	if truth.State.matches(t.stateAt(from)) {
		return // this state is published already, because the coordinator did not publish a short state before it
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

// dueAfter returns the time after which a true state must be published. Usually this is the time at
// which the state began. If the state is undecided (Truth.Undecided), it is the time of the last
// publication of another state within Truth.Bound.
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

// stateAt returns the published state at a time, or an empty text if there was none.
func (t *comparison) stateAt(at time.Time) State {
	i, _ := slices.BinarySearchFunc(t.changes, at, func(s Seen, at time.Time) int { return cmp.Or(s.At.Compare(at), -1) })
	if i == 0 {
		return ""
	}
	return t.changes[i-1].State
}

// firstSeen returns the first time later than the time `from` at which a true state was published.
// It returns false if this time is later than `end` plus Truth.Bound, or if there is no such time.
func (t *comparison) firstSeen(truth Truth, from, end time.Time) (time.Time, bool) {
	for _, s := range t.changes {
		if truth.State.matches(s.State) && s.At.After(from) {
			return s.At, outages(t.Outages).elapsed(end, s.At) <= truth.Bound
		}
	}
	return time.Time{}, false
}

// truthAt returns a text about the true state at the time of the update with the index change.
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
