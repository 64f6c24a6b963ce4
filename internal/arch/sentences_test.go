package arch

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// maxWords is the largest allowed number of words in a sentence of a comment.
const maxWords = 25

// sentenceEnd matches the end of a sentence, which may also be a colon or a semicolon.
var sentenceEnd = regexp.MustCompile(`[.!?;:]["')\]]*(\s|$)`)

// abbreviations have a full stop that ends no sentence.
var abbreviations = strings.NewReplacer("e.g. ", "eg ", "i.e. ", "ie ", "etc. ", "etc ", "vs. ", "vs ", "cf. ", "cf ")

// sentenceFaults finds sentences of comments that are too long to be understood at first
// read. Indented lines are code or tables and are left out.
func sentenceFaults(s source) []string {
	var faults []string
	for _, group := range s.file.Comments {
		for _, paragraph := range paragraphs(group.Text()) {
			for _, sentence := range sentenceEnd.Split(abbreviations.Replace(paragraph), -1) {
				if n := len(strings.Fields(sentence)); n > maxWords {
					faults = append(faults, fmt.Sprintf("%s:%d: a sentence of %d words, want at most %d: %.60s…", s.path, s.line(group.Pos()), n, maxWords, sentence))
				}
			}
		}
	}
	return faults
}

// paragraphs returns the paragraphs and list items of a comment, each on one line.
func paragraphs(text string) []string {
	var all []string
	current := ""
	end := func() {
		if current != "" {
			all = append(all, current)
		}
		current = ""
	}
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		item := strings.HasPrefix(trimmed, "- ") || strings.HasPrefix(trimmed, "* ") || strings.HasPrefix(trimmed, "# ")
		switch {
		case trimmed == "", strings.HasPrefix(line, "\t"):
			end()
			continue
		case item:
			end()
		}
		current = strings.TrimSpace(current + " " + trimmed)
	}
	end()
	return all
}

func TestSentences(t *testing.T) {
	for _, s := range module(t) {
		if !s.generated {
			report(t, sentenceFaults(s))
		}
	}
}

func TestSentenceFaults(t *testing.T) {
	words := func(n int) string { return strings.TrimSpace(strings.Repeat("word ", n)) }
	for _, c := range []struct {
		text   string
		faults int
	}{
		{"// " + words(25) + ".", 0},
		{"// " + words(26) + ".", 1},
		{"// " + words(20) + ".\n// " + words(20) + ".", 0},
		{"// " + words(20) + "\n// " + words(20) + ".", 1},
		{"// " + words(20) + ":\n//   - " + words(20) + "\n//   - " + words(20), 0},
		{"// " + words(20) + "\n//\n// " + words(20), 0},
		{"//\t" + words(40), 0},
		{"// " + words(20) + ", e.g. " + words(10) + ".", 1},
	} {
		faults := 0
		s := example(t, "a/a.go", "package a\n\n"+c.text+"\nvar x int\n")
		faults = len(sentenceFaults(s))
		if faults != c.faults {
			t.Errorf("%q: %d faults, want %d", c.text, faults, c.faults)
		}
	}
}
