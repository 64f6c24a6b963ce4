package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Case is what the judge compares. Of each ID Truths and Seen are in order;
// what no truth is known of is not judged.
type Case struct {
	Truths  []Truth
	Seen    []Seen
	Outages []Outage
	// From and To bound what is judged: before From everything was being set up.
	From, To time.Time
}

// Count is what the judge finds.
type Count struct {
	Transitions, False, Missed, Late int
	// Detections are the times from a truth until it was published, outages and
	// what it was meant to be held for left out, in order.
	Detections []time.Duration
	// Faults say in words what is wrong: the first few.
	Faults []string
}

// maxFaults is how many are told in words.
const maxFaults = 20

// Judge counts what was published and not true, and the other way round.
func Judge(c *Case) Count {
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
		one := trial{Case: c, Count: &n, truths: truths[id], turns: turns(seen[id])}
		one.judge()
	}
	slices.Sort(n.Detections)
	return n
}

// turns leaves out what did not change the state.
func turns(seen []Seen) []Seen {
	return slices.CompactFunc(slices.Clone(seen), func(a, b Seen) bool { return a.State == b.State })
}

// trial is of one target.
type trial struct {
	*Case
	*Count
	truths []Truth
	turns  []Seen
}

func (t *trial) judge() {
	for i, s := range t.turns {
		if s.At.Before(t.From) || s.At.After(t.To) {
			continue
		}
		t.Transitions++
		if !t.justified(s) && !t.first(i) {
			t.False++
			t.fault("%s: %s (%s) at %s: %s", s.ID, s.State, s.Cause, clock(s.At), t.story(i))
		}
	}
	for i := range t.truths {
		if !t.truths[i].At.Before(t.From) {
			t.sought(i)
		}
	}
}

// first reports whether turn i is that of a name that was not there before: until
// the coordinator has heard of it, it is STARTING.
func (t *trial) first(i int) bool {
	return t.turns[i].State == starting && (i == 0 || t.turns[i-1].State == Gone)
}

// justified reports whether s was true when it was published, or had been so
// shortly before that it could not be known better.
func (t *trial) justified(s Seen) bool {
	for i, truth := range t.truths {
		if truth.State == s.State && !truth.At.After(s.At) && outages(t.Outages).between(t.end(i), s.At) <= truth.Bound {
			return true
		}
	}
	return false
}

// end is when truth i ended; the last one has not.
func (t *trial) end(i int) time.Time {
	if i+1 < len(t.truths) {
		return t.truths[i+1].At
	}
	return t.To.Add(time.Hour)
}

// sought looks for truth i in what was published.
func (t *trial) sought(i int) {
	truth := t.truths[i]
	end := t.end(i)
	if end.After(t.To) {
		end = t.To
	}
	lasted := outages(t.Outages).between(truth.At, end) > truth.Bound
	if t.stateAt(truth.At) == truth.State {
		return // what came between was too short to be published
	}
	at, ok := t.firstSeen(truth, end)
	switch took := outages(t.Outages).between(truth.At, at); {
	case !ok && lasted:
		t.Missed++
		t.fault("%s: %s at %s was never published", truth.ID, truth.State, clock(truth.At))
	case !ok:
	case lasted && took > truth.Bound:
		t.Late++
		t.fault("%s: %s at %s was published after %v, want %v", truth.ID, truth.State, clock(truth.At), took.Round(time.Millisecond), truth.Bound)
		t.detected(took - truth.Hold)
	case !at.After(end):
		t.detected(took - truth.Hold)
	}
}

func (t *trial) detected(took time.Duration) { t.Detections = append(t.Detections, max(took, 0)) }

// stateAt is what was published last.
func (t *trial) stateAt(at time.Time) State {
	i, _ := slices.BinarySearchFunc(t.turns, at, func(s Seen, at time.Time) int { return cmp.Or(s.At.Compare(at), -1) })
	if i == 0 {
		return ""
	}
	return t.turns[i-1].State
}

// firstSeen returns when a truth was published, if before it was long over.
func (t *trial) firstSeen(truth Truth, end time.Time) (time.Time, bool) {
	for _, s := range t.turns {
		if s.State == truth.State && s.At.After(truth.At) {
			return s.At, outages(t.Outages).between(end, s.At) <= truth.Bound
		}
	}
	return time.Time{}, false
}

// story tells what was true around a turn.
func (t *trial) story(turn int) string {
	at := t.turns[turn].At
	text := "nothing was true yet"
	for i := range t.truths {
		if !t.truths[i].At.After(at) {
			text = fmt.Sprintf("it was %s since %s", t.truths[i].State, clock(t.truths[i].At))
		}
	}
	return text
}

func (t *trial) fault(format string, args ...any) {
	if len(t.Faults) < maxFaults {
		t.Faults = append(t.Faults, fmt.Sprintf(format, args...))
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
