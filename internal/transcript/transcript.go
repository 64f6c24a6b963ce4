package transcript

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata")

// T0 is when every transcript begins. Its times are ages since then.
var T0 = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// At returns T0 and an age.
func At(age time.Duration) time.Time { return T0.Add(age) }

// Ago prints a time as a transcript does.
func Ago(t time.Time) string { return t.Sub(T0).String() }

// Line is one command of a transcript: "verb word word key=value".
type Line struct {
	Verb  string
	words []string
	opts  map[string]string
	used  map[string]bool
}

func parseLine(text string) Line {
	l := Line{opts: map[string]string{}, used: map[string]bool{}}
	fields := strings.Fields(text)
	l.Verb = fields[0]
	for _, f := range fields[1:] {
		if key, value, ok := strings.Cut(f, "="); ok {
			l.opts[key] = value
			continue
		}
		l.words = append(l.words, f)
	}
	return l
}

// Opt returns the value of key=value, and whether it is there.
func (l *Line) Opt(key string) (string, bool) {
	l.used[key] = true
	v, ok := l.opts[key]
	return v, ok
}

// Text reads words, which a transcript joins with underscores.
func (l *Line) Text(key string) string {
	v, _ := l.Opt(key)
	return strings.ReplaceAll(v, "_", " ")
}

// Age reads a duration, otherwise if there is none.
func (l *Line) Age(key string, otherwise time.Duration) time.Duration {
	v, ok := l.Opt(key)
	if !ok {
		return otherwise
	}
	if v == "off" {
		return -1
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		panic(err)
	}
	return d
}

// Has removes a word and reports whether it was there.
func (l *Line) Has(word string) bool {
	i := slices.Index(l.words, word)
	if i < 0 {
		return false
	}
	l.words = slices.Delete(l.words, i, i+1)
	return true
}

// Word removes and returns the next word.
func (l *Line) Word() string {
	if len(l.words) == 0 {
		panic("a word is missing")
	}
	w := l.words[0]
	l.words = l.words[1:]
	return w
}

// left returns the words and options that no method has read.
func (l *Line) left() []string {
	left := l.words
	for key := range l.opts {
		if !l.used[key] {
			left = append(left, key+"=")
		}
	}
	return left
}

// Run runs every file of this pattern: commands, "----", and what they
// print. A new run is made for each file.
func Run(t *testing.T, pattern string, start func() func(*Line) string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			transcript(t, file, start())
		})
	}
}

func transcript(t *testing.T, file string, run func(*Line) string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		out.WriteString(lines[i] + "\n")
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			continue
		}
		got := execute(t, fmt.Sprintf("%s:%d", file, i+1), lines[i], run)
		if i+1 < len(lines) && lines[i+1] != "----" {
			out.WriteString(got)
			if got != "" {
				t.Fatalf("%s:%d: %s prints\n%s", file, i+1, lines[i], got)
			}
			continue
		}
		want := ""
		for i += 2; i < len(lines) && lines[i] != ""; i++ {
			want += lines[i] + "\n"
		}
		i--
		if got != want && !*rewrite {
			t.Errorf("%s: above line %d: got\n%swant\n%s", file, i+2, got, want)
		}
		out.WriteString("----\n" + got)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// execute runs one command, and refuses what is left of it.
func execute(t *testing.T, where, text string, run func(*Line) string) string {
	t.Helper()
	l := parseLine(text)
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("%s: %s: %v", where, text, p)
		}
	}()
	got := run(&l)
	if left := l.left(); len(left) > 0 {
		t.Fatalf("%s: %s: not understood: %q", where, text, left)
	}
	return got
}
