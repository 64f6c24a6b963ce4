package audit

import (
	"errors"
	"io/fs"
	"iter"
)

// Read calls f for each line of a log in the order of their times, until f returns false. The path is
// one as for Verify. Read holds one line of each chain in memory. It returns the number of damaged or
// incomplete lines, which it has left out. It does not check the chains.
func Read(path string, f func(*Line) bool) (skipped int, err error) {
	chains, err := find(path)
	if err != nil {
		return 0, err
	}
	var sources []*source
	for _, segments := range chains {
		next, stop := iter.Pull2(lines(segments))
		defer stop()
		sources = append(sources, &source{next: next})
	}
	for {
		var earliest *source
		for _, s := range sources {
			if s.line == nil && err == nil {
				err = s.read(&skipped)
			}
			if s.line != nil && (earliest == nil || s.line.Time.Before(earliest.line.Time)) {
				earliest = s
			}
		}
		if err != nil || earliest == nil || !f(earliest.line) {
			return skipped, err
		}
		earliest.line = nil
	}
}

// source has the next line of a chain.
type source struct {
	next func() (*Line, error, bool)
	line *Line // nil at the end of the chain
}

// read reads the next sound line, and counts the others.
func (s *source) read(skipped *int) error {
	for {
		l, err, more := s.next()
		switch {
		case !more:
			return nil
		case err != nil:
			return err
		case l != nil:
			s.line = l
			return nil
		}
		*skipped++
	}
}

// lines returns the lines of segments. It returns nil for a line that is not sound. The last pair has
// an error if a segment cannot be read.
func lines(segments []segment) iter.Seq2[*Line, error] {
	return func(yield func(*Line, error) bool) {
		for i := range segments {
			more := true
			err := segments[i].scan(func(s *scanned) bool {
				if l, err := parseLine(s.text); err == nil && s.whole {
					more = yield(&l, nil)
				} else {
					more = yield(nil, nil)
				}
				return more
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // the log may just have removed the segment
				more = more && yield(nil, err)
				return
			}
			if !more {
				return
			}
		}
	}
}
