package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// openFolder makes and locks the folder of a log.
func openFolder(dir string) (*os.File, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("audit: %s: cannot be made: %w; give a folder that this user may write to", dir, err)
		}
		if err := syncFolder(filepath.Dir(dir)); err != nil {
			return nil, fmt.Errorf("audit: %s: %w", dir, err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit: %s: cannot be written to: %w; give a folder that this user may write to", dir, err)
	}
	if err := lockFile(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("audit: %s: %w", dir, err), lock.Close())
	}
	return lock, nil
}

// openChain finds the end of a chain. It changes no file: that is done before the first write.
func openChain(dir, name string, segmentBytes, totalBytes int64) (*chain, error) {
	segments, err := segmentsIn(dir, name)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	c := &chain{dir: dir, name: name, segmentBytes: segmentBytes, totalBytes: totalBytes, segments: segments, unsettled: true}
	for i := range c.segments {
		c.segments[i].readFirst()
	}
	for i, s := range slices.Backward(c.segments) {
		if newest := i == len(c.segments)-1; c.findEnd(&s, newest) {
			break
		}
	}
	return c, nil
}

// findEnd examines a segment to find the last line of the chain. It reports whether the segment has
// a line.
func (c *chain) findEnd(s *segment, newest bool) bool {
	e := examined{follower: follower{any: true}}
	if err := s.scan(e.add); err != nil {
		e.fault = "cannot be read: " + err.Error()
	}
	if newest {
		c.newest().size = e.end
		c.tail = e.tail
	}
	if !newest && e.rest > 0 && e.fault == "" {
		e.fault = "ends within a line"
	}
	c.head = e.head()
	switch {
	case e.fault != "" && newest:
		c.abandon(e.fault)
		c.newest().size = s.size
	case e.fault != "":
		c.addDamage(s.path + " " + e.fault)
	case e.rest > 0:
		c.addNote(ownRecord(Start, fmt.Sprintf(
			"%s had %d bytes of a line that was not written completely; they are removed", s.path, e.rest)))
	}
	return e.head().number > 0
}

// examined is what was found in a segment.
type examined struct {
	follower
	end   int64  // offset behind the last line with a line end
	rest  int64  // number of bytes behind it
	tail  []byte // last line with its line end
	fault string // the first fault; empty if there is none
}

// add adds the next line.
func (e *examined) add(s *scanned) bool {
	if !s.whole {
		e.rest = s.end - e.end
		if !torn(s.text) && e.fault == "" {
			e.fault = fmt.Sprintf("is damaged: the end of its line %d was changed", s.number)
		}
		return true
	}
	_, err := e.accept(s.text)
	if err != nil && e.fault == "" {
		e.fault = fmt.Sprintf("is damaged: its line %d %v", s.number, err)
	}
	e.end = s.end
	e.tail = append(append(e.tail[:0], s.text...), '\n')
	return true
}
