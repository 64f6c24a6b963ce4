package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// head is the end of a chain: the number and the hash of its last line. The zero value is the end of
// an empty chain.
type head struct {
	number uint64
	hash   Hash
}

// follower checks the lines of a chain, one after the other.
type follower struct {
	any  bool   // the next line may have any number, because the lines before it may have been removed
	good head   // last line that was sound
	bad  uint64 // number of lines since then that were not sound
	last Hash   // hash of the last line of these
}

// head returns the end of the chain, at which the log continues. It counts damaged lines.
func (f *follower) head() head {
	if f.bad == 0 {
		return f.good
	}
	return head{f.good.number + f.bad, f.last}
}

// accept checks the next line. If it returns an error, it has still noted the line, so that the error
// is not returned once more for the lines after it.
func (f *follower) accept(text []byte) (Line, error) {
	l, err := parseLine(text)
	if err != nil {
		f.bad++
		f.last = sha256.Sum256(text)
		return l, err
	}
	if !f.any {
		err = f.continues(&l)
	} else if l.Number == 1 && l.Prev != (Hash{}) {
		err = errors.New("was changed: it is the first line, and has a hash of a line before it")
	}
	*f = follower{good: head{l.Number, l.Hash}}
	return l, err
}

// continues checks that a sound line continues the chain.
func (f *follower) continues(l *Line) error {
	before := f.good.number + f.bad
	switch {
	case l.Number == f.good.number+1 && l.Prev == f.good.hash:
		return nil
	case l.Number > before+2:
		return fmt.Errorf("has the number %d: the lines %d to %d before it were removed", l.Number, before+1, l.Number-1)
	case l.Number == before+2:
		return fmt.Errorf("has the number %d: the line %d before it was removed", l.Number, before+1)
	case l.Number <= before:
		return fmt.Errorf("has the number %d, but follows the line %d: it was inserted, repeated or moved", l.Number, before)
	case f.bad > 0: // a damaged line says nothing about the hash of the line that was there
		return nil
	}
	return fmt.Errorf("has not the hash of the line %d before it: one of the two was changed or inserted, together with its checksum", before)
}
