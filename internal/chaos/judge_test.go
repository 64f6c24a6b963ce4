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

// at is so many milliseconds after noon.
func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// became is a truth with a bound of a second.
func became(ms int, s State) Truth { return Truth{At: at(ms), ID: payA, State: s, Bound: time.Second} }

// told is what was seen of it.
func told(ms int, s State) Seen { return Seen{At: at(ms), ID: payA, State: s} }

func TestJudge(t *testing.T) {
	const unknown = State("UNKNOWN")
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
		{name: "told twice counts once", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(1010, notServing), told(1500, notServing)}, transitions: 1, detections: []time.Duration{10}},
		{name: "called dead falsely", truths: []Truth{up}, seen: []Seen{said, told(1000, notServing)}, transitions: 1, false: 1},
		{name: "and taken back: that is true", truths: []Truth{up}, seen: []Seen{said, told(1000, notServing), told(2000, serving)}, transitions: 2, false: 1},
		{name: "called unknown falsely", truths: []Truth{up}, seen: []Seen{said, told(1000, unknown)}, transitions: 1, false: 1},
		{name: "called degraded falsely", truths: []Truth{up}, seen: []Seen{said, told(1000, degraded)}, transitions: 1, false: 1},
		{name: "known by name first", truths: []Truth{became(900, serving)}, seen: []Seen{told(1000, starting), told(1100, serving)}, transitions: 2, detections: []time.Duration{200}},
		{name: "known by name only, when more was known", truths: []Truth{up}, seen: []Seen{said, told(1000, starting), told(1100, serving)}, transitions: 2, false: 1},
		{name: "removed falsely", truths: []Truth{up}, seen: []Seen{said, told(1000, Gone)}, transitions: 1, false: 1},
		{name: "published before it was true", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(990, notServing)}, transitions: 1, false: 1},
		{name: "published when it was over, within the bound", truths: []Truth{up, became(1000, notServing), became(1100, serving)}, seen: []Seen{said, told(1900, notServing), told(1950, serving)}, transitions: 2},
		{name: "published when it was over for longer", truths: []Truth{up, became(1000, notServing), became(1100, serving)}, seen: []Seen{said, told(2200, notServing), told(2250, serving)}, transitions: 2, false: 1},
		{name: "too short to be seen", truths: []Truth{up, became(1000, notServing), became(1900, serving)}, seen: []Seen{said}},
		{name: "missed", truths: []Truth{up, became(1000, notServing), became(2100, serving)}, seen: []Seen{said}, missed: 1},
		{name: "missed for ever", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said}, missed: 1},
		{name: "not yet missed at the end", truths: []Truth{up, became(9500, notServing)}, seen: []Seen{said}},
		{name: "late", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(2500, notServing)}, transitions: 1, late: 1, detections: []time.Duration{1500}},
		{name: "late, when it was over", truths: []Truth{up, became(1000, notServing), became(2100, serving)}, seen: []Seen{said, told(2200, notServing), told(2300, serving)}, transitions: 2, late: 1, detections: []time.Duration{1200}},
		{name: "stopped meanwhile", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(7100, notServing)}, outages: []Outage{{at(900), at(7000)}}, transitions: 1, detections: []time.Duration{100}},
		{name: "stopped meanwhile, and still late", truths: []Truth{up, became(1000, notServing)}, seen: []Seen{said, told(8100, notServing)}, outages: []Outage{{at(900), at(7000)}}, transitions: 1, late: 1, detections: []time.Duration{1100}},
		{name: "a stop is no excuse for what was never true", truths: []Truth{up}, seen: []Seen{said, told(7100, notServing)}, outages: []Outage{{at(900), at(7000)}}, transitions: 1, false: 1},
		{name: "the setup is not judged", truths: []Truth{up}, seen: []Seen{told(-100, notServing)}},
		{name: "of others nothing is known", truths: nil, seen: []Seen{told(1000, notServing)}},
		{name: "what is to be held is not counted", truths: []Truth{up, {At: at(1000), ID: payA, State: notServing, Bound: 3 * time.Second, Hold: 2 * time.Second}}, seen: []Seen{said, told(3010, notServing)}, transitions: 1, detections: []time.Duration{10}},
		{name: "leaves", truths: []Truth{up, became(1000, draining), became(1200, Gone)}, seen: []Seen{said, told(1001, draining), told(1202, Gone)}, transitions: 2, detections: []time.Duration{1, 2}},
	} {
		got := Judge(&Case{Truths: c.truths, Seen: c.seen, Outages: c.outages, From: noon, To: at(10_000)})
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

// TestFaults: what is wrong is told with what was true, and not for ever.
func TestFaults(t *testing.T) {
	var c Case
	c.From, c.To = noon, at(100_000)
	c.Truths = []Truth{became(-1, serving)}
	for i := range 100 {
		c.Seen = append(c.Seen, told(1000*i, []State{notServing, serving}[i%2]))
	}
	got := Judge(&c)
	if got.False != 50 || len(got.Faults) != maxFaults {
		t.Errorf("%d false, %d in words", got.False, len(got.Faults))
	}
	if want := "pay/a: NOT_SERVING () at 12:00:00.000: it was SERVING since 11:59:59.999"; got.Faults[0] != want {
		t.Errorf("%q, want %q", got.Faults[0], want)
	}
}

func TestDisorder(t *testing.T) {
	truths := []Truth{became(0, serving), became(1000, notServing), became(2000, serving), became(3000, notServing)}
	rev := func(s Seen, epoch, revision uint64) Seen { s.Epoch, s.Revision = epoch, revision; return s }
	for _, c := range []struct {
		name string
		seen []Seen
		want string
	}{
		{"all of it", []Seen{rev(told(1, serving), 1, 1), rev(told(1001, notServing), 1, 2), rev(told(2001, serving), 1, 3), rev(told(3001, notServing), 1, 4)}, ""},
		{"a part", []Seen{rev(told(1, serving), 1, 1), rev(told(3001, notServing), 1, 4)}, ""},
		{"the same again, from a snapshot", []Seen{rev(told(1, serving), 1, 1), rev(told(2, serving), 1, 1)}, ""},
		{"a new epoch begins anew", []Seen{rev(told(1, serving), 1, 9), rev(told(1002, notServing), 2, 1)}, ""},
		{"a new coordinator has not heard yet", []Seen{rev(told(1, serving), 1, 9), rev(told(2, starting), 2, 1), rev(told(3, serving), 2, 2)}, ""},
		{"a new epoch may know less", []Seen{rev(told(1, serving), 1, 8), rev(told(1001, notServing), 1, 9), rev(told(1002, serving), 2, 1), rev(told(1003, notServing), 2, 2)}, ""},
		{"a new epoch invents nothing", []Seen{rev(told(1, serving), 1, 9), rev(told(2, notServing), 2, 1)}, "it had not become that"},
		{"back in time", []Seen{rev(told(1, serving), 1, 2), rev(told(1001, notServing), 1, 1)}, "revision 1 after 2"},
		{"two things in one revision", []Seen{rev(told(1, serving), 1, 2), rev(told(1001, notServing), 1, 2)}, "revision 2 after 2"},
		{"never true", []Seen{rev(told(1, serving), 1, 1), rev(told(2, "DEGRADED"), 1, 2)}, "it had not become that"},
		{"not true yet", []Seen{rev(told(1, serving), 1, 1), rev(told(999, notServing), 1, 2)}, "it had not become that"},
		{"once too often", []Seen{rev(told(1, serving), 1, 1), rev(told(1001, notServing), 1, 2), rev(told(1500, serving), 1, 3)}, "it had not become that"},
	} {
		n, faults := Disorder(truths, c.seen)
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
		if n, faults := Astray(truths, view); n != want || len(faults) != want {
			t.Errorf("%s: %d %q, want %d", state, n, faults, want)
		}
	}
	if n, _ := Astray(append(truths, became(2, Gone)), nil); n != 0 {
		t.Error("who has left is missed")
	}
}
