package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBound: at the bound the oldest lines are removed, a line says so, and the rest verifies.
func TestBound(t *testing.T) {
	const bound = 4 * minSegmentBytes
	opts := Options{SegmentBytes: minSegmentBytes, MaxBytes: bound, MaxRefusedBytes: 2 * minSegmentBytes}
	l := start(t, t.TempDir(), opts)
	l.Note(refusal("early"))
	var all []string
	for i := range 1000 {
		all = append(all, fmt.Sprint("service-", i))
		l.add(t, all[i])
	}
	l.end()
	var size int
	have := files(t, l.dir)
	for name, text := range have {
		if strings.HasPrefix(name, Writes) {
			size += len(text)
		}
		if len(text) > minSegmentBytes {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	if size > bound || size < bound/2 {
		t.Errorf("%d bytes; the bound is %d", size, bound)
	}
	kept := objects(t, l.dir, Write)
	if !slices.Equal(kept, all[len(all)-len(kept):]) || len(kept) < 100 {
		t.Errorf("%d lines are kept, and they are not the newest", len(kept))
	}
	c := sound(t, l.dir)
	if c.First == 1 || c.Removed != c.First-1 || c.Last != l.Stats().Lines {
		t.Errorf("%+v", c)
	}
	if got := objects(t, l.dir, Refused); len(got) != 1 {
		t.Errorf("accepted lines displace refusals: %q", got)
	}
	t.Run("a noted line is gone", func(t *testing.T) {
		r := verified(t, l.dir, Noted{Number: 1})
		if !r.Sound() || !r.Chains[0].Gone || r.Chains[0].Compared {
			t.Errorf("%+v", r.Chains[0])
		}
	})
	t.Run("one more file is removed", func(t *testing.T) {
		less := have
		oldest := slices.Sorted(func(yield func(string) bool) {
			for name := range have {
				if strings.HasPrefix(name, Writes) && !yield(name) {
					return
				}
			}
		})[0]
		delete(less, oldest)
		if got := faultsOf(t, folder(t, less), Noted{}); len(got) != 1 || !strings.Contains(got[0], "no line says that the log has done that") {
			t.Errorf("%q", got)
		}
	})
}

// TestRefusalsBound: a flood of refusals cannot fill the disk, and displaces no accepted write.
func TestRefusalsBound(t *testing.T) {
	c := &clock{now: noon}
	const bound = 2 * minSegmentBytes
	l, err := Open(t.TempDir(), Options{SegmentBytes: minSegmentBytes, MaxRefusedBytes: bound, Now: c.read})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.writeBatch(); err != nil { // the line about the start
		t.Fatal(err)
	}
	last := 0
	for ; last < 500; last++ {
		c.add(time.Second)
		r := refusal(fmt.Sprint(last))
		r.Detail = strings.Repeat("x", maxDetail)
		l.Note(r)
		l.writeRefusals(false)
	}
	l.writeRefusals(true)
	l.publish()
	if s := l.Stats(); s.Bytes > bound+maxLine || s.FailingRefusals != nil || s.Dropped > 0 {
		t.Errorf("%+v", s)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := objects(t, l.dir, Refused)
	if len(got) < 50 || got[len(got)-1] != fmt.Sprint(last-1) {
		t.Errorf("%d refusals are kept", len(got))
	}
	sound(t, l.dir)
}

// TestClockSteps: the order of the lines is that of their numbers, also if the clock steps back.
func TestClockSteps(t *testing.T) {
	c := &clock{now: noon}
	l := start(t, t.TempDir(), Options{Now: c.read})
	l.add(t, "a")
	c.add(-time.Hour)
	l.add(t, "b")
	l.end()
	equal(t, "objects", objects(t, l.dir, Write), []string{"a", "b"})
	sound(t, l.dir)
}

// TestRead merges the chains by time, and leaves out what is damaged.
func TestRead(t *testing.T) {
	c := &clock{now: noon}
	l := start(t, t.TempDir(), Options{Now: c.read})
	for i := range 4 {
		c.add(time.Second)
		if i%2 == 0 {
			l.add(t, fmt.Sprint(i))
		} else {
			l.Note(refusal(fmt.Sprint(i)))
		}
	}
	l.end()
	equal(t, "kinds", kindsIn(t, l.dir), []Kind{Start, Write, Refused, Write, Refused})
	changed := files(t, l.dir)
	changed[firstFile] = strings.Replace(changed[firstFile], `"object":"0"`, `"object":"7"`, 1) + `{"v":1,`
	n := 0
	skipped, err := Read(folder(t, changed), func(*Line) bool { n++; return true })
	if n != 4 || skipped != 2 || err != nil {
		t.Errorf("%d lines, %d skipped, %v", n, skipped, err)
	}
	n = 0
	if _, err := Read(l.dir, func(*Line) bool { n++; return n < 3 }); n != 3 || err != nil {
		t.Errorf("stopped after %d lines, %v", n, err)
	}
}

// TestFind: a path may be the folder of the log, the folder above it, or a file.
func TestFind(t *testing.T) {
	dir := filled(t, 2, Options{})
	for path, want := range map[string]string{
		dir:                        "",
		dir + "/..":                "",
		dir + "/" + firstFile:      "",
		dir + "/lock":              "is no file of an audit log; allowed: a name such as writes-000001.jsonl",
		dir + "/nobody":            "no such file",
		t.TempDir():                "has no audit log; give the folder of one, such as DATA_DIR/audit",
		dir + "/../" + "audit/../": "",
	} {
		r, err := Verify(path, Noted{})
		switch {
		case want == "" && (err != nil || !r.Sound() || r.Chains[0].Lines != 3):
			t.Errorf("%s: %+v, %v", path, r, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
