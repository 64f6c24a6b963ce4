package chaos

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

func TestBounds(t *testing.T) {
	b := boundsFor(15 * time.Second)
	for _, c := range []struct {
		way         source
		state       State
		bound, hold time.Duration
	}{
		{byReport, notServing, time.Second, 0},
		{byReport, serving, time.Second, 0},
		{byStock, notServing, time.Second, 0},
		{byStock, serving, 3 * time.Second, 2 * time.Second},
		{byRefusal, notServing, 3 * time.Second, 0},
		{byPath, notServing, 32 * time.Second, 0},
		{byStub, notServing, 24 * time.Second, 0},
		{byStub, serving, 24 * time.Second, 0},
	} {
		if bound, hold := b.boundOf(c.way, c.state); bound != c.bound || hold != c.hold {
			t.Errorf("%s %s: %v, %v; want %v, %v", c.way, c.state, bound, hold, c.bound, c.hold)
		}
	}
}

func TestOutages(t *testing.T) {
	gaps := outages{{at(1000), at(2000)}, {at(3000), at(4000)}}
	for _, c := range []struct{ from, to, want int }{
		{0, 500, 500}, {0, 1500, 1000}, {0, 5000, 3000}, {1200, 1800, 0}, {1500, 3500, 1000}, {4000, 5000, 1000}, {2000, 3000, 1000},
	} {
		if got := gaps.elapsed(at(c.from), at(c.to)); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("from %d to %d: %v, want %d ms", c.from, c.to, got, c.want)
		}
	}
}

// TestTruthLine checks that the parent can read what a child writes.
func TestTruthLine(t *testing.T) {
	line := truthLine(at(7), payA, serving, byStock)
	got, err := parseTruth(strings.Fields(line)[1:], boundsFor(time.Second))
	want := Truth{At: at(7), ID: payA, State: serving, Bound: 3 * time.Second, Hold: 2 * time.Second}
	if err != nil || !got.At.Equal(want.At) {
		t.Fatal(got, err)
	}
	if got.At = want.At; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	for _, bad := range []string{"", "1 pay/a SERVING", "noon pay/a SERVING stock", "1 pay/a SERVING stock more"} {
		if _, err := parseTruth(strings.Fields(bad), boundsFor(time.Second)); err == nil {
			t.Errorf("%q is accepted as a truth", bad)
		}
	}
}

func TestSettingsFile(t *testing.T) {
	for _, c := range []struct {
		settings settings
		want     string
		patience time.Duration
	}{
		{settings{}, "", health.DefaultUnreachableAfter},
		{settings{unreachable: 6 * time.Second}, "policy:\n  unreachable_after: 6s\n", 6 * time.Second},
		{settings{poll: time.Second, unreachable: 6 * time.Second}, "poll_every: 1s\npolicy:\n  unreachable_after: 6s\n", 6 * time.Second},
		{settings{policy: map[string]string{"guard_max": "1m", "flap_half_life": "off"}}, "policy:\n  flap_half_life: off\n  guard_max: 1m\n", health.DefaultUnreachableAfter},
	} {
		want := "listen: a:1\nhttp: b:2\ndata_dir: data\n" + c.want
		if got := c.settings.file("a:1", "b:2"); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if got := c.settings.unreachableAfter(); got != c.patience {
			t.Errorf("%v, want %v", got, c.patience)
		}
	}
}

// TestWatcher checks that a complete snapshot removes the names that it does not
// contain. An interrupted snapshot removes nothing.
func TestWatcher(t *testing.T) {
	w := &watcher{view: map[health.ID]Seen{}}
	one := func(instance string, s health.Status) []*client.Entry {
		return []*client.Entry{{State: health.State{ID: health.ID{Service: "pay", Instance: instance}, Status: s}}}
	}
	for _, u := range []client.Update{
		{Snapshot: true, Entries: one("a", health.Serving)},
		{Snapshot: true, Entries: one("b", health.Serving), SnapshotEnd: true},
		{Entries: one("b", health.NotServing)},
		{Stale: true},
		{Snapshot: true, Gap: true, Entries: one("c", health.Serving)},
		{Stale: true},
		{Snapshot: true, Gap: true, Entries: one("b", health.Serving), SnapshotEnd: true},
	} {
		w.addUpdate(&u)
	}
	var got []string
	for _, s := range w.seen {
		got = append(got, s.ID.Instance+" "+string(s.State))
	}
	want := "a SERVING, b SERVING, b NOT_SERVING, c SERVING, b SERVING"
	if text := strings.Join(got, ", "); !strings.HasPrefix(text, want) || strings.Count(text, "GONE") != 2 {
		t.Errorf("%s, want %s, and a and c removed", text, want)
	}
	if len(w.view) != 1 || w.view[health.ID{Service: "pay", Instance: "b"}].State != serving {
		t.Errorf("%v, want b only", w.view)
	}
}

func TestVerdict(t *testing.T) {
	v := Verdict{Count: Count{Detections: []time.Duration{1, 2, 3, 4}}}
	for percent, want := range map[int]time.Duration{0: 1, 50: 3, 99: 4, 100: 4} {
		if got := v.Detection(percent); got != want {
			t.Errorf("%d %%: %v, want %v", percent, got, want)
		}
	}
	if v.requireNoErrors(); v.Word() != "pass" || !v.OK() {
		t.Errorf("%s: %q", v.Word(), v.Failures)
	}
	v.False = 1
	if v.requireNoErrors(); v.Word() != "FAIL" || v.OK() {
		t.Errorf("%s: %q", v.Word(), v.Failures)
	}
	if v := (Verdict{Skipped: "no strace"}); v.Word() != "skipped" || !v.OK() || v.Detection(50) != 0 {
		t.Errorf("%s", v.Word())
	}
}

func TestMemory(t *testing.T) {
	for _, c := range []struct {
		growth   memoryGrowth
		failures int
	}{{memoryGrowth{100, 120}, 0}, {memoryGrowth{100, 121}, 1}, {memoryGrowth{0, 500}, 0}} {
		var v Verdict
		if v.requireMemory(c.growth, 20); len(v.Failures) != c.failures || len(v.Notes) != 1 {
			t.Errorf("%v: %q, %q", c.growth, v.Failures, v.Notes)
		}
	}
}

// TestHost hosts stock targets in this process and checks every line of output.
func TestHost(t *testing.T) {
	in := strings.NewReader(`{"Groups":[{"Kind":"stock","Service":"pay","Targets":2,"PerAddress":2}]}
{"Seq":1,"Do":"set","IDs":["pay-0/i-1"],"State":"NOT_SERVING"}
`)
	var out bytes.Buffer
	if err := RunHost(context.Background(), in, &out); err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.Lines(out.String()) {
		f := strings.Fields(line)
		switch f[0] {
		case truthWord:
			f = []string{f[0], f[2], f[3], f[4]}
		case targetWord:
			f = []string{f[0], f[1], f[3], f[4]}
		}
		words = append(words, strings.Join(f, " "))
	}
	want := []string{
		"truth pay-0/i-0 SERVING stock", "truth pay-0/i-1 SERVING stock",
		"target pay-0/i-0 pay-0.i-0 false", "target pay-0/i-1 pay-0.i-1 false", "ready",
		"truth pay-0/i-1 NOT_SERVING stock", `done 1 ""`,
	}
	if got := strings.Join(words, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("a host writes\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// TestHostSeed checks that a host changes targets in the same order if the seed is the same, and
// that another seed gives another order.
func TestHostSeed(t *testing.T) {
	order := func(seed int) (flips string) {
		in, spec := io.Pipe()
		out, lines := io.Pipe()
		go func() { lines.CloseWithError(RunHost(context.Background(), in, lines)) }()
		if _, err := fmt.Fprintf(spec, `{"Groups":[{"Kind":"stock","Service":"pay","Targets":20,"PerAddress":20,"Each":20}]}
{"Seq":1,"Do":%q,"Turns":2,"Seed":%d}
`, commandFlip, seed); err != nil {
			t.Fatal(err)
		}
		ready := false
		for all := bufio.NewScanner(out); all.Scan(); {
			switch f := strings.Fields(all.Text()); {
			case f[0] == readyWord:
				ready = true
			case f[0] == truthWord && ready:
				flips += f[2] + " " + f[3] + "\n"
			case f[0] == doneWord:
				_ = spec.Close() // a PipeWriter is always closed without an error
			}
		}
		return flips
	}
	first := order(7)
	if got := order(7); got != first || strings.Count(got, "\n") != 30 {
		t.Errorf("the order with the same seed is\n%s\nwant\n%s", got, first)
	}
	if order(8) == first {
		t.Error("two seeds give the same order")
	}
}

// TestHostRefuses checks that invalid input is an error, and that the answer to an
// unknown command has an error.
func TestHostRefuses(t *testing.T) {
	for _, in := range []string{"", "nonsense\n", "{}\nnonsense\n"} {
		if err := RunHost(context.Background(), strings.NewReader(in), &bytes.Buffer{}); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
	var out bytes.Buffer
	err := RunHost(context.Background(), strings.NewReader("{}\n{\"Seq\":2,\"Do\":\"dance\"}\n"), &out)
	if want := "ready\n" + `done 2 "the command \"dance\" is unknown"` + "\n"; err != nil || out.String() != want {
		t.Errorf("%q, %v; want %q", out.String(), err, want)
	}
}

// TestMismatched checks that acknowledged names must be present, and that deregistered
// names must not.
func TestMismatched(t *testing.T) {
	a, b := health.ID{Service: "pay", Instance: "a"}, health.ID{Service: "pay", Instance: "b"}
	there := map[health.ID]bool{a: true}
	if got := mismatched([]health.ID{a, b}, there, true); len(got) != 1 || got[0] != "pay/b" {
		t.Errorf("missing: %q, want pay/b", got)
	}
	if got := mismatched([]health.ID{a, b}, there, false); len(got) != 1 || got[0] != "pay/a" {
		t.Errorf("still listed: %q, want pay/a", got)
	}
}
