package input

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// maxShown is the largest number of problems in the text of one error.
	maxShown = 50
	// maxKept is the largest number of problems in a list. A file of 16 MiB can have millions of them.
	maxKept = 1000
)

// Problem is one fault in a file.
type Problem struct {
	Line int    // number of the line, from 1; 0 means that the problem is about the whole file
	Path string // path of the YAML key, such as policy.amnesty; may be empty
	Text string
}

// Problems is an error with all faults of one file.
type Problems struct {
	File    string // name of the file, as errors show it
	List    []Problem
	Dropped int // number of faults that were found when List already had 1000
}

// Count returns the number of faults.
func (p *Problems) Count() int { return len(p.List) + p.Dropped }

// Add appends a fault. Line 0 means the file as a whole.
func (p *Problems) Add(line int, path, format string, args ...any) {
	if len(p.List) == maxKept {
		p.Dropped++
		return
	}
	p.List = append(p.List, Problem{line, path, fmt.Sprintf(format, args...)})
}

// Err returns p, or nil if its list is empty.
func (p *Problems) Err() error {
	if len(p.List) == 0 {
		return nil
	}
	return p
}

// Error returns one line for each fault, ordered by line number. Faults of the file as a whole come
// last, because other faults often cause them. After 50 faults, one line says how many more there
// are.
func (p *Problems) Error() string {
	place := func(p Problem) uint { return uint(p.Line) - 1 } // 0 becomes the largest number, so that line 0 is sorted last
	slices.SortStableFunc(p.List, func(a, b Problem) int { return cmp.Compare(place(a), place(b)) })
	var lines []string
	for i, one := range p.List {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("%s: and %d more", p.File, p.Count()-i))
			break
		}
		lines = append(lines, p.line(one))
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) line(one Problem) string {
	text := p.File
	if one.Line > 0 {
		text += ":" + strconv.Itoa(one.Line)
	}
	if one.Path != "" {
		text += ": " + one.Path
	}
	return text + ": " + wire.Clean(one.Text)
}
