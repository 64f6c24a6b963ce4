package chaos

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

var (
	noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	payA = health.ID{Service: "pay", Instance: "a"}
)

// at returns the time that is ms milliseconds after noon.
func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// became returns a truth with a bound of one second.
func became(ms int, s State) Truth { return Truth{At: at(ms), ID: payA, State: s, Bound: time.Second} }

// told returns an update with the state s that the watcher received at ms milliseconds after
// noon.
func told(ms int, s State) Seen { return Seen{At: at(ms), ID: payA, State: s} }

// undecided returns an undecided truth with a bound of three seconds.
func undecided(ms int, s State) Truth {
	return Truth{At: at(ms), ID: payA, State: s, Bound: 3 * time.Second, Undecided: true}
}

func TestJudge(t *testing.T) {
	up, said := became(-5000, serving), told(-4900, serving)
	for _, c := range []struct {
		name                             string
		truths                           []Truth
		seen                             []Seen
		outages                          []Outage
		transitions, false, missed, late int
		detections                       []time.Duration // milliseconds
	}{
		{name: "nothing happens", truths: []Truth{up}, seen: []Seen{said}},
		{name: "a flip, at once", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(1010, notServing)}, transitions: 1, detections: []time.Duration{10}},
		{name: "an update without a change is not counted", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(1010, notServing), told(1500, notServing)}, transitions: 1, detections: []time.Duration{10}},
		{name: "a false NOT_SERVING", truths: []Truth{up}, seen: []Seen{said, told(1000, notServing)}, transitions: 1, false: 1},
		{name: "a false NOT_SERVING, and then the true state", truths: []Truth{up}, seen: []Seen{said, told(1000, notServing), told(2000, serving)}, transitions: 2, false: 1},
		{name: "a false UNKNOWN", truths: []Truth{up}, seen: []Seen{said, told(1000, unknown)}, transitions: 1, false: 1},
		{name: "a false DEGRADED", truths: []Truth{up}, seen: []Seen{said, told(1000, degraded)}, transitions: 1, false: 1},
		{name: "STARTING for a new name", truths: []Truth{became(900, serving)}, seen: []Seen{told(1000, starting), told(1100, serving)}, transitions: 2, detections: []time.Duration{200}},
		{name: "STARTING for a name that was SERVING", truths: []Truth{up}, seen: []Seen{said, told(1000, starting), told(1100, serving)}, transitions: 2, false: 1},
		{name: "a false removal", truths: []Truth{up}, seen: []Seen{said, told(1000, Gone)}, transitions: 1, false: 1},
		{name: "published before it was true", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(990, notServing)}, transitions: 1, false: 1},
		{name: "published after the truth ended, within the bound", truths: []Truth{up, became(1000, notServing), became(1100, serving)}, seen: []Seen{said, told(1900, notServing), told(1950, serving)}, transitions: 2},
		{name: "published after the truth ended, beyond the bound", truths: []Truth{up, became(1000, notServing), became(1100, serving)}, seen: []Seen{said, told(2200, notServing), told(2250, serving)}, transitions: 2, false: 1},
		{name: "a truth that was shorter than its bound", truths: []Truth{up, became(1000, notServing), became(1900, serving)}, seen: []Seen{said}},
		{name: "missed", truths: []Truth{up, became(1000, notServing), became(2100, serving)}, seen: []Seen{said}, missed: 1},
		{name: "missed until the end", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said}, missed: 1},
		{name: "the bound ends after the comparison", truths: []Truth{up, became(9500, notServing)}, seen: []Seen{said}},
		{name: "late", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(2500, notServing)}, transitions: 1, late: 1, detections: []time.Duration{1500}},
		{name: "late, after the truth ended", truths: []Truth{up, became(1000, notServing), became(2100, serving)}, seen: []Seen{said, told(2200, notServing), told(2300, serving)}, transitions: 2, late: 1, detections: []time.Duration{1200}},
		{name: "an outage", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(7100, notServing)}, outages: []Outage{{at(900), at(7000)}}, transitions: 1, detections: []time.Duration{100}},
		{name: "late in spite of an outage", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(8100, notServing)}, outages: []Outage{{at(900), at(7000)}}, transitions: 1, late: 1, detections: []time.Duration{1100}},
		{name: "an outage does not excuse a state that was never true", truths: []Truth{up}, seen: []Seen{said, told(7100, notServing)}, outages: []Outage{{at(900), at(7000)}}, transitions: 1, false: 1},
		{name: "an update before From is not compared", truths: []Truth{up}, seen: []Seen{told(-100, notServing)}},
		{name: "a name without truths is not compared", truths: nil, seen: []Seen{told(1000, notServing)}},
		{name: "the hold time is subtracted", truths: []Truth{up, {At: at(1000), ID: payA, State: notServing, Bound: 3 * time.Second, Hold: 2 * time.Second}}, seen: []Seen{said, told(3010, notServing)}, transitions: 1, detections: []time.Duration{10}},
		{name: "a target drains and is removed", truths: []Truth{up, became(1000, draining), became(1200, Gone)}, seen: []Seen{said, told(1001, draining), told(1202, Gone)}, transitions: 2, detections: []time.Duration{1, 2}},
		{name: "not routable: several such states", truths: []Truth{up, became(1000, notRoutable)}, seen: []Seen{said, told(1100, notServing), told(5000, unknown), told(6000, Gone)}, transitions: 3, detections: []time.Duration{100}},
		{name: "not routable, but DEGRADED is published", truths: []Truth{up, became(1000, notRoutable)}, seen: []Seen{said, told(1100, unknown), told(5000, degraded)}, transitions: 2, false: 1, detections: []time.Duration{100}},
		{name: "not routable, and never published", truths: []Truth{up, became(1000, notRoutable)}, seen: []Seen{said}, missed: 1},
		{name: "undecided: several states, and then the true one", truths: []Truth{up, undecided(1000, notServing)}, seen: []Seen{said, told(2500, unknown), told(2800, serving), told(3900, notServing)}, transitions: 3, detections: []time.Duration{2900}},
		{name: "undecided, and the true state at once", truths: []Truth{up, undecided(1000, notServing)}, seen: []Seen{said, told(1100, notServing)}, transitions: 1, detections: []time.Duration{100}},
		{name: "undecided, and back to the state before", truths: []Truth{up, undecided(1000, serving)}, seen: []Seen{said, told(1100, notServing), told(2000, serving)}, transitions: 2, detections: []time.Duration{1000}},
		{name: "undecided, and nothing happens", truths: []Truth{up, undecided(1000, serving)}, seen: []Seen{said}},
		{name: "undecided, and a wrong state when the bound ends", truths: []Truth{up, undecided(1000, notServing)}, seen: []Seen{said, told(1100, notServing), told(3500, serving)}, transitions: 2, missed: 1},
		{name: "undecided, and late", truths: []Truth{up, undecided(1000, notServing)}, seen: []Seen{said, told(5000, notServing)}, transitions: 1, late: 1, detections: []time.Duration{4000}},
		{name: "a wrong state after the bound", truths: []Truth{up, undecided(1000, notRoutable)}, seen: []Seen{said, told(2000, notServing), told(5000, serving)}, transitions: 2, false: 1, detections: []time.Duration{1000}},
		{name: "undecided, and never published", truths: []Truth{up, undecided(1000, notRoutable)}, seen: []Seen{said}, missed: 1},
		{name: "undecided, and ended before its bound", truths: []Truth{up, undecided(1000, notRoutable), became(3000, serving)}, seen: []Seen{said}},
		{name: "undecided during an outage", truths: []Truth{up, undecided(1000, notServing)}, seen: []Seen{said, told(7500, unknown), told(7700, notServing)}, outages: []Outage{{at(1500), at(7000)}}, transitions: 2, detections: []time.Duration{1200}},
	} {
		got := Compare(&Case{Truths: c.truths, Seen: c.seen, Outages: c.outages, From: noon, To: at(10_000)})
		if got.Transitions != c.transitions || got.False != c.false || got.Missed != c.missed || got.Late != c.late {
			t.Errorf("%s: %d transitions, %d false, %d missed, %d late; want %d, %d, %d, %d", c.name,
				got.Transitions, got.False, got.Missed, got.Late, c.transitions, c.false, c.missed, c.late)
		}
		for i := range c.detections {
			c.detections[i] *= time.Millisecond
		}
		if !slices.Equal(got.Detections, c.detections) {
			t.Errorf("%s: detections %v, want %v", c.name, got.Detections, c.detections)
		}
		if n := c.false + c.missed + c.late; len(got.Faults) != n {
			t.Errorf("%s: faults %q, want %d", c.name, got.Faults, n)
		}
	}
}

// TestFaults checks that a fault names the true state, and that the number of faults is
// limited.
func TestFaults(t *testing.T) {
	var c Case
	c.From, c.To = noon, at(100_000)
	c.Truths = []Truth{became(-1, serving)}
	for i := range 100 {
		c.Seen = append(c.Seen, told(1000*i, []State{notServing, serving}[i%2]))
	}
	got := Compare(&c)
	if got.False != 50 || len(got.Faults) != maxFaults {
		t.Errorf("%d false, %d faults", got.False, len(got.Faults))
	}
	if want := "pay/a: NOT_SERVING () at 12:00:00.000: it was SERVING since 11:59:59.999"; got.Faults[0] != want {
		t.Errorf("%q, want %q", got.Faults[0], want)
	}
}

func TestDisorder(t *testing.T) {
	truths := []Truth{became(0, serving), became(1000, notServing), became(2000, serving), became(3000, notServing), undecided(4000, notRoutable)}
	rev := func(s Seen, epoch, revision uint64) Seen { s.Epoch, s.Revision = epoch, revision; return s }
	for _, c := range []struct {
		name string
		seen []Seen
		want string
	}{
		{"undecided at the end", []Seen{rev(told(3001, notServing), 1, 1), rev(told(4001, unknown), 1, 2), rev(told(4002, serving), 1, 3)}, ""},
		{"a state before the undecided truth", []Seen{rev(told(3001, notServing), 1, 1), rev(told(3999, unknown), 1, 2)}, "the target did not have this state"},
		{"all states", []Seen{rev(told(1, serving), 1, 1), rev(told(1001, notServing), 1, 2), rev(told(2001, serving), 1, 3), rev(told(3001, notServing), 1, 4)}, ""},
		{"some states", []Seen{rev(told(1, serving), 1, 1), rev(told(3001, notServing), 1, 4)}, ""},
		{"the same state again, in a snapshot", []Seen{rev(told(1, serving), 1, 1), rev(told(2, serving), 1, 1)}, ""},
		{"a new epoch may have lower revisions", []Seen{rev(told(1, serving), 1, 9), rev(told(1002, notServing), 2, 1)}, ""},
		{"a new coordinator publishes STARTING", []Seen{rev(told(1, serving), 1, 9), rev(told(2, starting), 2, 1), rev(told(3, serving), 2, 2)}, ""},
		{"a new epoch may begin with an older state", []Seen{rev(told(1, serving), 1, 8), rev(told(1001, notServing), 1, 9), rev(told(1002, serving), 2, 1), rev(told(1003, notServing), 2, 2)}, ""},
		{"a new epoch publishes a state that was not true", []Seen{rev(told(1, serving), 1, 9), rev(told(2, notServing), 2, 1)}, "the target did not have this state"},
		{"a lower revision", []Seen{rev(told(1, serving), 1, 2), rev(told(1001, notServing), 1, 1)}, "revision 1 after 2"},
		{"two states in one revision", []Seen{rev(told(1, serving), 1, 2), rev(told(1001, notServing), 1, 2)}, "revision 2 after 2"},
		{"never true", []Seen{rev(told(1, serving), 1, 1), rev(told(2, "DEGRADED"), 1, 2)}, "the target did not have this state"},
		{"a state before it is true", []Seen{rev(told(1, serving), 1, 1), rev(told(999, notServing), 1, 2)}, "the target did not have this state"},
		{"a state before it is true again", []Seen{rev(told(1, serving), 1, 1), rev(told(1001, notServing), 1, 2), rev(told(1500, serving), 1, 3)}, "the target did not have this state"},
	} {
		n, faults := OutOfOrder(truths, c.seen)
		switch {
		case c.want == "" && n == 0:
		case c.want != "" && n == 1 && strings.HasSuffix(faults[0], c.want):
		default:
			t.Errorf("%s: %d %q, want %q", c.name, n, faults, c.want)
		}
	}
}

func TestAstray(t *testing.T) {
	truths := []Truth{became(0, serving), became(1, notServing)}
	for state, want := range map[State]int{notServing: 0, serving: 1, Gone: 1} {
		view := map[health.ID]Seen{payA: {State: state}}
		if state == Gone {
			view = nil
		}
		if n, faults := WrongEnds(truths, view); n != want || len(faults) != want {
			t.Errorf("%s: %d %q, want %d", state, n, faults, want)
		}
	}
	if n, _ := WrongEnds(append(truths, became(2, Gone)), nil); n != 0 {
		t.Error("a removed target is counted")
	}
	for state, want := range map[State]int{notServing: 0, unknown: 0, serving: 1, degraded: 1, Gone: 0} {
		view := map[health.ID]Seen{payA: {State: state}}
		if state == Gone {
			view = nil
		}
		if n, _ := WrongEnds(append(truths, became(2, notRoutable)), view); n != want {
			t.Errorf("%s for a target that is not routable: %d, want %d", state, n, want)
		}
	}
}
