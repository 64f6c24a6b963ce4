package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// history is a random sequence of appends, refusals, kills and starts of one log.
type history struct {
	t     *testing.T
	rand  *rand.Rand
	dir   string
	opts  Options
	next  int      // number of the next object
	acked []string // objects of the acknowledged lines
}

// TestHistories: after each kill, at any byte of what was written last, the acknowledged lines are all
// there, and the chain verifies.
func TestHistories(t *testing.T) {
	for seed := range uint64(8) {
		h := &history{
			t: t, rand: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(),
			opts: Options{SegmentBytes: minSegmentBytes, MaxBytes: 1 << 30},
		}
		for range 6 {
			h.live()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// live starts the log, appends, and kills it while it writes its last batch.
func (h *history) live() {
	l := start(h.t, h.dir, h.opts)
	for range h.rand.IntN(6) {
		h.acked = append(h.acked, h.batch(l, 1+h.rand.IntN(40))...)
	}
	before := files(h.t, h.dir)
	last := h.batch(l, 1+h.rand.IntN(3))
	after := files(h.t, h.dir)
	l.end()
	if h.rand.IntN(4) == 0 { // no kill
		h.acked = append(h.acked, last...)
		h.check(h.dir)
		return
	}
	killed := folder(h.t, killedWhile(before, after, h.rand.IntN))
	h.dir = killed
	h.check(h.dir)
}

// batch appends lines at the same time, with some refusals between them.
func (h *history) batch(l *running, n int) []string {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var acked []string
	for range n {
		object := fmt.Sprint("service-", h.next)
		h.next++
		wg.Go(func() {
			r := record(object)
			r.Detail = strings.Repeat("y", len(object)*100)
			if err := l.Append(context.Background(), r); err != nil {
				h.t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			acked = append(acked, object)
		})
		l.Note(refusal(object))
	}
	wg.Wait()
	return acked
}

// check starts the log once more, and compares it with what was acknowledged.
func (h *history) check(dir string) {
	h.t.Helper()
	l := start(h.t, dir, h.opts)
	l.add(h.t, "service-0") // the start writes to the files
	damage := l.Stats().Damage
	l.end()
	sound(h.t, dir)
	have := map[string]bool{}
	for _, object := range objects(h.t, dir, Write) {
		have[object] = true
	}
	for _, object := range h.acked {
		if !have[object] {
			h.t.Errorf("the line of %s was acknowledged, and is not there", object)
		}
	}
	if len(damage) > 0 {
		h.t.Errorf("a kill is taken for damage: %q", damage)
	}
}

// killedWhile returns the files as a kill may leave them while they changed from before to after: the
// log writes each chain from its beginning to its end.
func killedWhile(before, after map[string]string, pick func(int) int) map[string]string {
	all := maps.Clone(before)
	for _, chain := range chainNames {
		var names []string
		more := 0
		for _, name := range slices.Sorted(maps.Keys(after)) {
			if strings.HasPrefix(name, chain) {
				names = append(names, name)
				more += len(after[name]) - len(before[name])
			}
		}
		cut := pick(more + 1)
		for _, name := range names {
			written := min(cut, len(after[name])-len(before[name]))
			if _, old := before[name]; old || written > 0 || pick(2) == 0 {
				all[name] = after[name][:len(before[name])+written]
			}
			if cut -= written; cut == 0 && len(all[name]) < len(after[name]) {
				break // later files were not made
			}
		}
	}
	return all
}

// TestEveryByte cuts the last write at every byte of its ends, and at some between them. The line is
// long, so that the lines after the next start do not cover it.
func TestEveryByte(t *testing.T) {
	l := start(t, t.TempDir(), Options{})
	l.add(t, "a", "b")
	before := files(t, l.dir)[firstFile]
	long := strings.Repeat("c", maxObject)
	r := record(long)
	r.Identity, r.Detail = long[:maxIdentity], long[:maxDetail]
	if err := l.Append(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	after := files(t, l.dir)[firstFile]
	l.end()
	dir := t.TempDir()
	path := filepath.Join(dir, firstFile)
	for n := len(before); n <= len(after); n++ {
		if n > len(before)+100 && n < len(after)-100 {
			n += 20
		}
		if err := os.WriteFile(path, []byte(after[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		r := verified(t, dir, Noted{})
		if torn := n > len(before) && n < len(after); !r.Sound() || (r.Chains[0].Unfinished.File != "") != torn {
			t.Fatalf("cut at %d of %d to %d: %+v", n, len(before), len(after), r.Chains[0])
		}
		l := start(t, dir, Options{})
		l.add(t, "d")
		l.end()
		want := []string{"a", "b", "d"}
		if n == len(after) {
			want = []string{"a", "b", long, "d"}
		}
		equal(t, fmt.Sprint("cut at ", n), objects(t, dir, Write), want)
		if r := sound(t, dir); r.Unfinished.File != "" {
			t.Fatalf("cut at %d: %v", n, r.Unfinished)
		}
		if s := l.Stats(); len(s.Damage) > 0 {
			t.Fatalf("%+v", s)
		}
	}
}

// TestSettle has the states after a failed sync and after a failed write. The lines of that write are
// removed, also if the next ones are shorter.
func TestSettle(t *testing.T) {
	c, err := openChain(t.TempDir(), Writes, minSegmentBytes, 2*minSegmentBytes)
	if err != nil {
		t.Fatal(err)
	}
	write := func(object string) error { return c.write(noon, []stamped{{record(object).cleaned(), noon}}, true) }
	if err := write("a"); err != nil {
		t.Fatal(err)
	}
	before := *c
	if err := write(strings.Repeat("b", 1000)); err != nil {
		t.Fatal(err)
	}
	before.unsettled = true
	*c = before
	c.segments[0].size = int64(len(before.tail))
	if err := write("c"); err != nil {
		t.Fatal(err)
	}
	if err := c.file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := write("d"); err == nil {
		t.Error("a write to a closed file succeeds")
	}
	if err := errors.Join(write("e"), c.close()); err != nil || len(c.damage) > 0 {
		t.Errorf("%v, %q", err, c.damage)
	}
	equal(t, "objects", objects(t, c.dir, Write), []string{"a", "c", "e"})
	if r := sound(t, c.dir); r.Unfinished.File != "" || r.Lines != 3 || r.Segments != 1 {
		t.Errorf("%+v", r)
	}
}
