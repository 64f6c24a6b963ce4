package api

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

var corepbNode = corepb.Node{Id: "n"}

// rounds is the number of rounds of one history. After each round the restricted caller reads everything.
const rounds = 10

// pace is the time between two rounds. The heartbeats of a Watch come each second.
const pace = 2 * time.Second

// TestHiddenNamesChangeNothing: a caller with few rights reads the same in three meshes that differ only in
// names that are hidden from it. This includes a mesh without any hidden name. All meshes have the same
// changes. A caller with all rights reads before or after it, or not at all.
func TestHiddenNamesChangeNothing(t *testing.T) {
	histories := 20
	switch {
	case soak:
		histories = 1000
	case racing:
		histories = len(restricted) // the race detector makes them slow
	}
	for i := range histories {
		seed := uint64(time.Now().UnixNano()) + uint64(i)
		t.Logf("history %d has the seed %d", i, seed)
		var want string
		for j, hidden := range hiddenNames {
			var got string
			synctest.Test(t, func(t *testing.T) { got = transcript(t, hidden, seed, i%len(restricted), (i/len(restricted)+j)%3) })
			if j == 0 {
				want = got
			} else if got != want {
				t.Fatalf("history %d, seed %d: the caller can tell mesh 0 from mesh %d:\n%s", i, seed, j, firstDifference(want, got))
			}
		}
	}
}

// transcript returns all that the restricted caller reads.
func transcript(t *testing.T, hidden []string, seed uint64, rights, warm int) string {
	d := newDiffering(t, hidden, rights, warm)
	r := rand.New(rand.NewPCG(seed, 0))
	reader := newReading(d.world, d.visitor)
	reader.browser = d.browse()
	time.Sleep(pace / 8) // so that no change falls on a heartbeat
	began := time.Now()
	for round := range rounds {
		for range 1 + r.IntN(8) {
			m := randomMutation(r)
			d.apply(&m)
			synctest.Wait() // so that each change is a step of its own
		}
		if d.warm == 1 {
			d.readAll()
		}
		synctest.Wait()
		fmt.Fprintf(&reader.text, "*** round %d at %v\n", round, time.Since(began))
		reader.reads()
		if d.warm == 2 {
			d.readAll()
		}
		time.Sleep(time.Until(began.Add(time.Duration(round+1) * pace)))
	}
	reader.streams()
	return reader.text.String()
}

// firstDifference returns the first lines in which two texts differ, and the lines around them.
func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			heading := i
			for heading > 0 && !strings.HasPrefix(x[heading], "===") {
				heading--
			}
			from := max(heading, i-10)
			return x[heading] + "\n" + strings.Join(x[from:min(len(x), i+12)], "\n") + "\n--- differs from\n" + strings.Join(y[from:min(len(y), i+12)], "\n")
		}
	}
	return fmt.Sprintf("one has %d lines and the other %d", len(x), len(y))
}
