package audit

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// The names of the chains.
const (
	// Writes is the chain of the accepted writes.
	Writes = "writes"
	// Refusals is the chain of the refused requests.
	Refusals = "refused"
)

var chainNames = []string{Writes, Refusals}

// segment is one file of a chain.
type segment struct {
	chain  string
	number uint64 // segments are in the order of their numbers
	path   string
	size   int64  // in bytes
	first  uint64 // number of its first line; 0 if it is unknown
}

var segmentName = regexp.MustCompile(`^(` + Writes + `|` + Refusals + `)-([0-9]{6,18})\.jsonl$`)

func segmentPath(dir, chain string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%06d.jsonl", chain, number))
}

// asSegment returns the segment at a path. It reports false if the name is not that of a segment.
func asSegment(path string) (segment, bool) {
	m := segmentName.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return segment{}, false
	}
	number, err := strconv.ParseUint(m[2], 10, 64)
	return segment{chain: m[1], number: number, path: path}, err == nil
}

// segmentsIn lists the segments of a chain, the oldest first. It ignores other files.
func segmentsIn(dir, chain string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []segment
	for _, e := range entries {
		s, is := asSegment(filepath.Join(dir, e.Name()))
		if !is || s.chain != chain {
			continue
		}
		if info, err := e.Info(); err == nil {
			s.size = info.Size()
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

// scan calls f for each line of the segment.
func (s *segment) scan(f func(*scanned) bool) error {
	file, err := openRegular(s.path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	return scan(file, f)
}

// readFirst sets the number of the first line, if the segment has a sound one.
func (s *segment) readFirst() {
	_ = s.scan(func(line *scanned) bool { // without the number, the segment is only not removed as early
		if l, err := parseLine(line.text); err == nil && line.whole {
			s.first = l.Number
		}
		return false
	})
}

// openRegular opens a file that is neither a folder nor a device.
func openRegular(path string, flag int) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is no regular file (%s)", path, info.Mode().Type())
	}
	return os.OpenFile(path, flag, 0)
}

// syncFolder makes the names of new files in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
