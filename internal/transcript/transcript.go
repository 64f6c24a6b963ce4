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

// T0 is the time at which every transcript begins. A transcript prints each time as the
// duration since T0, such as "5s".
var T0 = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// At returns T0 plus age.
func At(age time.Duration) time.Time { return T0.Add(age) }

// Ago returns the difference between t and T0 as a text, such as "5s".
func Ago(t time.Time) string { return t.Sub(T0).String() }

// Line is one command of a transcript, such as "verb word word key=value". Its methods take
// words and options out of the line. A test fails if a word or an option is left.
type Line struct {
	Verb  string            // first word of the command
	words []string          // words after the verb that no method has taken yet
	opts  map[string]string // values of the options, by key
	used  map[string]bool   // keys of options that a method has asked for
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

// Opt returns the value of the option key=value, and whether the command has this option.
func (l *Line) Opt(key string) (string, bool) {
	l.used[key] = true
	v, ok := l.opts[key]
	return v, ok
}

// Text returns the value of an option that is a text with spaces. A transcript has underscores
// in place of the spaces. The text is empty if the command does not have the option.
func (l *Line) Text(key string) string {
	v, _ := l.Opt(key)
	return strings.ReplaceAll(v, "_", " ")
}

// Age returns the value of an option that is a duration. The value "off" means -1. If the
// command does not have the option, Age returns fallback. It panics if the value is no
// duration, which fails the test.
func (l *Line) Age(key string, fallback time.Duration) time.Duration {
	v, ok := l.Opt(key)
	if !ok {
		return fallback
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

// Has removes a word from the command, and reports whether the command had the word.
func (l *Line) Has(word string) bool {
	i := slices.Index(l.words, word)
	if i < 0 {
		return false
	}
	l.words = slices.Delete(l.words, i, i+1)
	return true
}

// Word removes the next word from the command, and returns the word. It panics if no word is
// left, which fails the test.
func (l *Line) Word() string {
	if len(l.words) == 0 {
		panic("a word is missing")
	}
	w := l.words[0]
	l.words = l.words[1:]
	return w
}

// left returns the words and options of the command that no method has taken.
func (l *Line) left() []string {
	left := l.words
	for key := range l.opts {
		if !l.used[key] {
			left = append(left, key+"=")
		}
	}
	return left
}

// Run runs every transcript whose path matches pattern, each as a subtest. It calls start once
// for each transcript. start returns the function that executes the commands of this
// transcript. This function returns the output of one command.
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

// execute passes one command to the function run and returns the output. It fails the test if
// run does not take all words and options of the command.
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
