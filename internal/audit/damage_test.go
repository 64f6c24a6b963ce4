package audit

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMutations: every change of a byte, and every removal, repetition, insertion and swap of lines is
// found. Only lines that are cut at the end cannot be seen, unless the last one was noted.
func TestMutations(t *testing.T) {
	dir := filled(t, 3, Options{})
	text := files(t, dir)[firstFile]
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	c := sound(t, dir)
	changed := filepath.Join(t.TempDir(), firstFile)
	report := func(text string, noted Noted) *ChainReport {
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return &verified(t, filepath.Dir(changed), noted).Chains[0]
	}
	expectFault := func(name, text string) {
		if r := report(text, Noted{}); r.NumFaults == 0 {
			t.Errorf("%s: no fault", name)
		}
	}
	for at := range text {
		for _, by := range []byte{1 << (at % 8), text[at] ^ '\n'} { // one bit, or a line end
			if by == 0 {
				continue
			}
			changed := text[:at] + string([]byte{text[at] ^ by}) + text[at+1:]
			expectFault(fmt.Sprintf("byte %d is %q instead of %q", at, text[at]^by, text[at]), changed)
		}
	}
	joined := func(parts ...[]string) string { return strings.Join(slices.Concat(parts...), "") }
	for i := range lines {
		for k := range lines {
			if i < len(lines)-1 && k == i {
				expectFault(fmt.Sprintf("line %d is removed", i+1), joined(lines[:i], lines[i+1:]))
			}
			if k < i {
				swapped := slices.Clone(lines)
				swapped[i], swapped[k] = swapped[k], swapped[i]
				expectFault(fmt.Sprintf("lines %d and %d are swapped", k+1, i+1), joined(swapped))
			}
			expectFault(fmt.Sprintf("line %d is there again before line %d", i+1, k+1), joined(lines[:k], lines[i:i+1], lines[k:]))
		}
		expectFault(fmt.Sprintf("line %d is there again at the end", i+1), joined(lines, lines[i:i+1]))
		for name, foreign := range map[string]string{"empty": "\n", "foreign": "hello\n", "long": strings.Repeat("x", 3*maxLine) + "\n"} {
			expectFault(fmt.Sprintf("a line (%s) is inserted before line %d", name, i+1), joined(lines[:i], []string{foreign}, lines[i:]))
		}
	}
	for n := 1; n < len(lines); n++ {
		cut := joined(lines[:n])
		if r := report(cut, Noted{}); r.NumFaults > 0 {
			t.Errorf("cut behind line %d: %v; that cannot be seen", n, r.Faults)
		}
		if r := report(cut, Noted{c.Last, c.LastHash}); r.NumFaults != 1 || r.Compared {
			t.Errorf("cut behind line %d, and the last line was noted: %v", n, r.Faults)
		}
	}
}

// TestForgery: a line that was written anew with its checksum is found by the hash in the next line.
// A whole new chain is found only by a hash that was noted.
func TestForgery(t *testing.T) {
	dir := filled(t, 3, Options{})
	c := *sound(t, dir)
	forged := head{}
	text := ""
	_, err := Read(dir, func(l *Line) bool {
		r := l.Record
		r.Identity = "somebody-else"
		n := newLine(&r, l.Time, l.Number, forged.hash)
		forged = head{n.Number, n.Hash}
		text += n.Text + "\n"
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	whole := folder(t, map[string]string{firstFile: text})
	sound(t, whole)
	equal(t, "written anew", faultsOf(t, whole, Noted{c.Last, c.LastHash}), []string{
		firstFile + ":4: the line has the number 4 and another hash than the noted one: the chain was written anew",
	})
	originals := strings.SplitAfter(files(t, dir)[firstFile], "\n")
	originals[0] = strings.SplitAfter(text, "\n")[0]
	equal(t, "one line", faultsOf(t, folder(t, map[string]string{firstFile: strings.Join(originals, "")}), Noted{}), []string{
		firstFile + ":2: the line has not the hash of the line 1 before it: one of the two was changed or inserted, together with its checksum",
	})
}

// TestFaults compares the sentences about faults.
func TestFaults(t *testing.T) {
	whole := files(t, filled(t, 200, Options{SegmentBytes: minSegmentBytes}))
	if len(whole) < 2 {
		t.Fatal("the test needs two segments")
	}
	lines := strings.SplitAfter(whole[firstFile], "\n")
	with := func(lines ...string) map[string]string {
		changed := maps.Clone(whole)
		changed[firstFile] = strings.Join(lines, "")
		return changed
	}
	without := maps.Clone(whole)
	delete(without, firstFile)
	first := len(lines) // number of the first line of the second segment
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"a changed line": {
			with(slices.Concat(lines[:1], []string{strings.Replace(lines[1], "service-0", "service-9", 1)}, lines[2:])...),
			[]string{firstFile + ":2: the line was changed: its checksum does not match"},
		},
		"one removed": {
			with(slices.Concat(lines[:1], lines[2:])...),
			[]string{firstFile + ":2: the line has the number 3: the line 2 before it was removed"},
		},
		"several removed": {
			with(slices.Concat(lines[:1], lines[5:])...),
			[]string{firstFile + ":2: the line has the number 6: the lines 2 to 5 before it were removed"},
		},
		"one repeated": {
			with(slices.Concat(lines[:2], lines[1:])...),
			[]string{firstFile + ":3: the line has the number 2, but follows the line 2: it was inserted, repeated or moved"},
		},
		"one inserted": {
			with(slices.Concat(lines[:2], []string{"hello\n"}, lines[2:])...),
			[]string{firstFile + ":3: the line was changed: its checksum does not match"},
		},
		"cut in the middle": {
			with(strings.Join(lines[:9], "") + lines[9][:9]),
			[]string{
				firstFile + ":10: the line is not complete, and the log continues in another file: something was removed",
				fmt.Sprintf("writes-000002.jsonl:1: the line has the number %d: the lines 10 to %d before it were removed", first, first-1),
			},
		},
		"all writes are gone": {
			map[string]string{"refused-000001.jsonl": ""},
			[]string{" has refusals and no accepted writes: their files were removed, because a log begins with a line about its start"},
		},
		"a segment is gone": {
			without,
			[]string{fmt.Sprintf("writes-000002.jsonl:1: the line has the number %d: the lines before it were removed, and no line says that the log has done that", first)},
		},
	} {
		dir := folder(t, c.files)
		got := faultsOf(t, dir, Noted{})
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], dir)
		}
		equal(t, name, got, c.want)
	}
}

// TestOpenDamaged: a damaged file is left as it is. The log says so and continues in a new file.
func TestOpenDamaged(t *testing.T) {
	whole := files(t, filled(t, 3, Options{}))[firstFile]
	for name, c := range map[string]struct {
		text   string
		faults int
	}{
		"in the middle":     {strings.Replace(whole, "service-1", "service-9", 1), 1},
		"the last line":     {strings.Replace(whole, "service-2", "service-9", 1), 1},
		"the last line end": {whole[:len(whole)-1] + "x", 2}, // and the next line is missing one before it
		"nothing but text":  {"hello\n", 1},
		"zeros":             {whole + strings.Repeat("\x00", 512) + "\n", 1},
		"a long line":       {whole + strings.Repeat("x", 10*maxLine), 2},
		"another chain":     {whole + strings.SplitAfter(whole, "\n")[0], 1},
	} {
		dir := folder(t, map[string]string{firstFile: c.text})
		l := start(t, dir, Options{})
		l.add(t, "new")
		stats := l.Stats()
		l.end()
		if len(stats.Damage) != 1 || !strings.Contains(stats.Damage[0], firstFile) {
			t.Errorf("%s: damage %q", name, stats.Damage)
		}
		after := files(t, dir)
		if after[firstFile] != c.text || len(after) != 2 {
			t.Errorf("%s: the damaged file was changed, or the log continues there", name)
		}
		if !strings.Contains(after["writes-000002.jsonl"], "begins a new segment") {
			t.Errorf("%s: no line says why there is a new file", name)
		}
		faults := faultsOf(t, dir, Noted{})
		if len(faults) == 0 || len(faults) > c.faults {
			t.Errorf("%s: %q, want %d faults at most", name, faults, c.faults)
		}
		again := start(t, dir, Options{})
		again.add(t, "newer")
		again.end()
		if s := again.Stats(); len(s.Damage) > 0 || len(faultsOf(t, dir, Noted{})) != len(faults) {
			t.Errorf("%s: after the next start: %+v, %q", name, s, faultsOf(t, dir, Noted{}))
		}
	}
}

// TestDamagedSegment: if the newest file has no sound line, the numbers continue behind those before it.
func TestDamagedSegment(t *testing.T) {
	dir := filled(t, 3, Options{})
	second := filepath.Join(dir, "writes-000002.jsonl")
	if err := os.WriteFile(second, []byte("hello\nworld\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := start(t, dir, Options{})
	l.add(t, "new")
	l.end()
	if s := l.Stats(); s.Lines != 4+2+3 || len(s.Damage) != 1 {
		t.Errorf("%+v", s)
	}
	equal(t, "faults", faultsOf(t, dir, Noted{}), []string{
		"writes-000002.jsonl:1: the line was changed: its checksum does not match",
		"writes-000002.jsonl:2: the line was changed: its checksum does not match",
	})
}

// TestNoFile: a folder at the place of the newest file is damage too.
func TestNoFile(t *testing.T) {
	dir := filled(t, 1, Options{})
	if err := os.Mkdir(filepath.Join(dir, "writes-000002.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := start(t, dir, Options{})
	l.add(t, "new")
	l.end()
	if s := l.Stats(); len(s.Damage) != 1 || s.Lines != 5 { // two starts, two writes, and the line about the new segment
		t.Errorf("%+v", s)
	}
	if got := faultsOf(t, dir, Noted{}); len(got) != 1 || !strings.Contains(got[0], "cannot be read") {
		t.Errorf("%q", got)
	}
}

// TestRemovedWhileRunning: if somebody moves the file of a running log away, no line is lost that is
// written after that.
func TestRemovedWhileRunning(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"moved":    func(path string) error { return os.Rename(path, path+".1") },
		"removed":  os.Remove,
		"replaced": func(path string) error { return os.WriteFile(path+".new", nil, 0o600) },
	} {
		l := start(t, t.TempDir(), Options{})
		l.add(t, "a")
		path := filepath.Join(l.dir, firstFile)
		if err := take(path); err != nil {
			t.Fatal(err)
		}
		if name == "replaced" {
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
		l.add(t, "b", "c")
		if s := l.Stats(); len(s.Damage) != 1 || s.Failing != nil {
			t.Errorf("%s: %+v", name, s)
		}
		l.end()
		equal(t, name, objects(t, l.dir, Write), []string{"b", "c"})
		if got := faultsOf(t, l.dir, Noted{}); len(got) != 1 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestDiskReturns: while nothing can be written, nothing is acknowledged. Later everything works again.
func TestDiskReturns(t *testing.T) {
	var b strings.Builder
	var mu sync.Mutex
	said := func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	}
	l := start(t, t.TempDir(), Options{Logger: slog.New(slog.NewTextHandler(writerFunc(said), nil))})
	l.add(t, "a")
	away := l.dir + ".away"
	if err := os.Rename(l.dir, away); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Append(context.Background(), record("b")); err == nil {
			t.Error("a line is acknowledged without a folder")
		}
		if s := l.Stats(); s.Failing == nil || s.Lines != 2 {
			t.Errorf("%+v", s)
		}
	}
	if err := os.Rename(away, l.dir); err != nil {
		t.Fatal(err)
	}
	l.add(t, "c")
	if s := l.Stats(); s.Failing != nil {
		t.Errorf("%+v", s)
	}
	l.end()
	equal(t, "objects", objects(t, l.dir, Write), []string{"a", "c"})
	for text, n := range map[string]int{"does not accept lines": 1, "accepts lines again": 1, "is damaged": 1} {
		if got := strings.Count(b.String(), text); got != n {
			t.Errorf("%q is logged %d times, want %d:\n%s", text, got, n, b.String())
		}
	}
	if err := l.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
