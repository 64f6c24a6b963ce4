package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
)

// stamped is a cleaned record with its time.
type stamped struct {
	Record
	at time.Time
}

// chain writes the lines of one chain. Only the goroutine of Run uses it after Open.
type chain struct {
	dir, name    string
	segmentBytes int64 // largest size of a segment
	totalBytes   int64 // largest size of all segments

	file     *os.File  // newest segment; nil if a new one must be made
	segments []segment // the oldest first; the newest is the one to which the chain writes, unless file is nil
	head     head      // last line that is acknowledged
	tail     []byte    // text of that line with its line end, if it is in the newest segment
	// unsettled is true if the newest segment may have more than its acknowledged lines, or these may
	// be readable but not durable. This is so after a failed write or sync, and after Open, because
	// an earlier process may have had a failed sync.
	unsettled bool
	fresh     bool     // the next line begins a new segment, because the newest one is damaged
	unsynced  bool     // lines were written since the last sync
	notes     []Record // lines of the log itself to write before the next line
	damage    []string // what was found to be damaged
	logged    int      // how many of these the log of the coordinator has
	syncs     uint64   // number of syncs
}

// write writes lines, and syncs them if durable is true. After an error, nobody knows whether they
// are in the file. The next call removes them.
func (c *chain) write(now time.Time, records []stamped, durable bool) error {
	err := c.settle()
	if err == nil {
		err = c.append(now, records, durable)
	}
	if err != nil {
		c.unsettled = true
		return fmt.Errorf("audit: %s: %w", c.dir, err)
	}
	return nil
}

func (c *chain) append(now time.Time, records []stamped, durable bool) error {
	if len(records) > 0 {
		now = records[0].at
	}
	text, end, tail := c.encode(nil, now, records)
	if c.file == nil || c.newest().size > 0 && c.newest().size+int64(len(text)) > c.segmentBytes {
		if err := c.rotate(); err != nil {
			return err
		}
	}
	old := c.tooOld()
	if len(old) > 0 {
		text, end, tail = c.encode([]Record{c.removal(len(old))}, now, records)
	}
	if err := c.put(text, durable); err != nil {
		return err
	}
	s := c.newest()
	if s.size == 0 {
		s.first = c.head.number + 1
	}
	s.size += int64(len(text))
	c.head, c.tail, c.notes = end, tail, nil
	c.remove(old)
	return nil
}

// encode returns the text of the notes of the chain, of more notes and of all records. It also returns
// the end that the chain then has, and the text of the last line.
func (c *chain) encode(more []Record, at time.Time, records []stamped) (text []byte, end head, tail []byte) {
	end = c.head
	add := func(r *Record, at time.Time) {
		l := newLine(r, at, end.number+1, end.hash)
		end = head{l.Number, l.Hash}
		tail = append([]byte(l.Text), '\n')
		text = append(text, tail...)
	}
	for _, own := range [][]Record{c.notes, more} {
		for i := range own {
			add(&own[i], at)
		}
	}
	for i := range records {
		add(&records[i].Record, records[i].at)
	}
	return text, end, tail
}

// put writes a text at the end of the newest segment.
func (c *chain) put(text []byte, durable bool) error {
	if _, err := c.file.WriteAt(text, c.newest().size); err != nil {
		return err
	}
	c.unsynced = true
	if durable {
		return c.sync()
	}
	return nil
}

// sync makes all lines durable.
func (c *chain) sync() error {
	if c.file == nil || !c.unsynced {
		return nil
	}
	c.syncs++
	err := c.file.Sync()
	c.unsynced, c.unsettled = err != nil, c.unsettled || err != nil
	return err
}

// flush makes all lines durable, also after a failed sync.
func (c *chain) flush() error {
	if err := c.settle(); err != nil {
		return err
	}
	return c.sync()
}

// newest returns the newest segment. There is one if file is not nil.
func (c *chain) newest() *segment { return &c.segments[len(c.segments)-1] }

// rotate makes a new segment and continues there.
func (c *chain) rotate() error {
	if err := errors.Join(c.sync(), c.close()); err != nil {
		return err
	}
	number := uint64(1)
	if len(c.segments) > 0 {
		number = c.newest().number + 1
	}
	s := segment{chain: c.name, number: number, path: segmentPath(c.dir, c.name, number)}
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	c.file, c.tail, c.fresh = file, nil, false
	c.segments = append(c.segments, s)
	return syncFolder(c.dir)
}

func (c *chain) close() error {
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}

// bytes returns the size of all segments.
func (c *chain) bytes() (sum int64) {
	for i := range c.segments {
		sum += c.segments[i].size
	}
	return sum
}

// tooOld returns the oldest segments, without which the chain keeps its bound until the newest segment
// is full. It returns none if the newest segment has lines already.
func (c *chain) tooOld() []segment {
	sum, n := c.bytes()+c.segmentBytes, 0
	if c.newest().size > 0 {
		return nil
	}
	for sum > c.totalBytes && n < len(c.segments)-1 {
		sum -= c.segments[n].size
		n++
	}
	return c.segments[:n]
}

// removal returns the record that says that the n oldest segments are removed.
func (c *chain) removal(n int) Record {
	last := c.head.number
	for _, s := range c.segments[n:] {
		if s.first > 0 {
			last = s.first - 1
			break
		}
	}
	detail := fmt.Sprintf("the lines up to %d are removed, because the log is larger than %d bytes", last, c.totalBytes)
	return Record{Kind: Removed, Source: Coordinator, Detail: detail, Rule: NoRule, Outcome: Done, Count: last}
}

// remove removes the oldest segments. A segment that cannot be removed stays, and is removed later.
func (c *chain) remove(old []segment) {
	for range old {
		if err := os.Remove(c.segments[0].path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return
		}
		c.segments = c.segments[1:]
	}
}

// settle makes sure that the newest segment is the file at its path, and that it has exactly its
// acknowledged lines.
func (c *chain) settle() error {
	if c.file != nil && !c.isThere() {
		if err := c.close(); err != nil {
			return err
		}
		c.abandon("was moved or removed while the coordinator ran")
	}
	if c.unsettled && !c.fresh && len(c.segments) > 0 {
		if err := c.reopen(); err != nil {
			return err
		}
	}
	c.unsettled = false
	return nil
}

// isThere reports whether the path of the newest segment names the open file.
func (c *chain) isThere() bool {
	have, err := c.file.Stat()
	at, errAt := os.Lstat(c.newest().path)
	return err == nil && errAt == nil && os.SameFile(have, at)
}

// reopen opens the newest segment, removes what is behind its acknowledged lines, and makes these
// durable.
func (c *chain) reopen() error {
	_ = c.close() // what a failed write has left is not needed
	s := c.newest()
	file, err := openRegular(s.path, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		c.abandon("was moved or removed while the coordinator ran")
		return nil
	}
	if err != nil {
		return err
	}
	if !hasTail(file, s.size, c.tail) {
		c.abandon("does not end with the line that was written last")
		return file.Close()
	}
	err = errors.Join(file.Truncate(s.size), rewriteEnd(file, s.size), file.Sync(), syncFolder(c.dir))
	if err != nil {
		return errors.Join(err, file.Close())
	}
	c.syncs++
	c.file, c.unsynced = file, false
	return nil
}

// hasTail reports whether a file of at least size bytes has this text before the offset size.
func hasTail(file *os.File, size int64, tail []byte) bool {
	have := make([]byte, len(tail))
	info, err := file.Stat()
	if err != nil || info.Size() < size || size < int64(len(tail)) {
		return false
	}
	_, err = file.ReadAt(have, size-int64(len(tail)))
	return err == nil && bytes.Equal(have, tail)
}

// rewriteEnd writes the last bytes before the offset size once more, unchanged. Linux treats a page
// whose sync has failed as written, so that no later sync would write it.
func rewriteEnd(file *os.File, size int64) error {
	text := make([]byte, min(size, maxBatch*maxLine))
	if _, err := file.ReadAt(text, size-int64(len(text))); err != nil {
		return err
	}
	_, err := file.WriteAt(text, size-int64(len(text)))
	return err
}

// abandon leaves the newest segment as it is, because of damage. The next line begins a new segment.
func (c *chain) abandon(why string) {
	c.addDamage(c.newest().path + " " + why)
	c.file, c.tail, c.unsynced, c.fresh = nil, nil, false, true
}

const (
	maxOwn    = 4   // lines of the log itself that wait to be written
	maxDamage = 100 // descriptions of damage that are kept
)

// addDamage notes what was found to be damaged. A line will say that a new segment begins.
func (c *chain) addDamage(what string) {
	if len(c.damage) < maxDamage {
		c.damage = append(c.damage, what)
	}
	c.addNote(ownRecord(Start, "begins a new segment: "+what))
}

// addNote adds a line of the log itself.
func (c *chain) addNote(r Record) {
	if len(c.notes) < maxOwn {
		c.notes = append(c.notes, r)
	}
}

// ownRecord returns a record that the coordinator writes about itself.
func ownRecord(kind Kind, detail string) Record {
	return Record{Kind: kind, Source: Coordinator, Detail: detail, Outcome: Done}.cleaned()
}
