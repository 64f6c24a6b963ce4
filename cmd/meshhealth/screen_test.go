package main

import (
	"strings"
	"testing"
)

// screen understands what a view writes to a terminal: new lines, and a bottom line that is written
// again and again. It fails the test if a line is longer than the terminal.
type screen struct {
	t       *testing.T
	columns int
	lines   []string // lines that have scrolled up
	bottom  string
}

func (s *screen) write(text string) {
	s.t.Helper()
	for part := range strings.SplitAfterSeq(text, "\n") {
		line, ended := strings.CutSuffix(part, "\n")
		for one := range strings.SplitAfterSeq(line, "\r") {
			piece, returned := strings.CutSuffix(one, "\r")
			if after, cleared := strings.CutPrefix(piece, "\x1b[K"); cleared {
				s.bottom = after
			} else {
				s.bottom += piece
			}
			if n := columnsOfPainted(s.bottom); n > s.columns {
				s.t.Errorf("a line has %d columns, the terminal %d: %q", n, s.columns, s.bottom)
			}
			_ = returned // the next piece begins with an escape that clears the line, or the line ends
		}
		if ended {
			s.lines, s.bottom = append(s.lines, s.bottom), ""
		}
	}
}

// taken returns the lines since the last call, and the bottom line.
func (s *screen) taken() string {
	var b strings.Builder
	for _, line := range s.lines {
		b.WriteString(line + "\n")
	}
	if s.bottom != "" {
		b.WriteString("[" + s.bottom + "]\n")
	}
	s.lines = nil
	return b.String()
}
