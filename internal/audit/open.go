package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// openFolder makes and locks the folder of a log. The folder above it must exist, and its name must be durable.
func openFolder(dir string) (*os.File, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("audit: %s: cannot be made: %w; give a folder that this user may write to", dir, err)
	}
	// A process that made the folder may have been killed before it synced the name.
	if err := syncFolder(filepath.Dir(dir)); err != nil {
		return nil, fmt.Errorf("audit: %s: %w", dir, err)
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
	c.findEnd()
	return c, nil
}

// findEnd finds the last line of the chain: in the newest segment, or in an earlier one if that has no
// sound line.
func (c *chain) findEnd() {
	var bad follower // lines behind the last sound one
	for i, s := range slices.Backward(c.segments) {
		e := examine(&s)
		c.judge(&s, e, i == len(c.segments)-1)
		if bad.bad == 0 {
			bad.last = e.last
		}
		bad.bad += e.bad
		if bad.good = e.good; e.good.number > 0 {
			break
		}
	}
	c.head = bad.head()
}

// examine reads a segment.
func examine(s *segment) *examined {
	e := &examined{follower: follower{any: true}}
	if err := s.scan(e.add); err != nil {
		e.fault = "cannot be read: " + err.Error()
	}
	return e
}

// judge decides whether the chain can continue in the segment.
func (c *chain) judge(s *segment, e *examined, newest bool) {
	switch {
	case newest && e.fault != "":
		c.abandon(e.fault)
	case newest:
		c.newest().size, c.tail = e.end, e.tail
		if e.rest > 0 {
			c.addNote(ownRecord(Start, fmt.Sprintf(
				"%s had %d bytes of a line that was not written completely; they are removed", s.path, e.rest)))
		}
	case e.fault != "":
		c.addDamage(s.path + " " + e.fault)
	case e.rest > 0:
		c.addDamage(s.path + " ends within a line")
	}
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
