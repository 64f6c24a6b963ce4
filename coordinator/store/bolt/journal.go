package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// Transitions implements [store.Store].
func (s *Store) Transitions(ctx context.Context, q store.Query) (store.Page, error) {
	if err := s.checkOpen(ctx); err != nil {
		return store.Page{}, err
	}
	if err := q.Validate(); err != nil {
		return store.Page{}, err
	}
	var page store.Page
	err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
		c := &journalCursor{c: bucketOf(tx, bucketTransitions).Cursor(), selected: keyFilter(q.ID)}
		page, err = store.ReadPage(c, &q, &s.times)
		return err
	})
	return page, err
}

// journalCursor is a [store.JournalCursor] of the bucket of transitions. Only Read and TimeBefore
// decode a record. The other methods read only its key.
type journalCursor struct {
	c           *bbolt.Cursor
	selected    func(key []byte) bool
	key, record []byte
}

// Seek implements [store.JournalCursor].
func (j *journalCursor) Seek(seq uint64, forward bool) uint64 {
	// The key of a transition is longer than its number, so it comes after the number alone.
	switch {
	case forward:
		j.key, j.record = j.c.Seek(binary.BigEndian.AppendUint64(nil, seq))
	case seq == ^uint64(0):
		j.key, j.record = j.c.Last()
	default:
		if key, _ := j.c.Seek(binary.BigEndian.AppendUint64(nil, seq+1)); key == nil {
			j.key, j.record = j.c.Last()
		} else {
			j.key, j.record = j.c.Prev()
		}
	}
	return j.seq()
}

// Step implements [store.JournalCursor].
func (j *journalCursor) Step(forward bool) uint64 {
	if forward {
		j.key, j.record = j.c.Next()
	} else {
		j.key, j.record = j.c.Prev()
	}
	return j.seq()
}

// seq returns the number in the key at the cursor, or 0 if there is no key. A damaged key is found
// by Read.
func (j *journalCursor) seq() uint64 {
	if len(j.key) < seqLen {
		return 0
	}
	return binary.BigEndian.Uint64(j.key)
}

// Selected implements [store.JournalCursor].
func (j *journalCursor) Selected() bool { return j.selected(j.key) }

// Read implements [store.JournalCursor].
func (j *journalCursor) Read() (store.Transition, error) { return readTransition(j.key, j.record) }

// TimeBefore implements [store.JournalCursor].
func (j *journalCursor) TimeBefore() (at time.Time, ok bool, err error) {
	key, record := j.c.Prev()
	if key != nil {
		t, err := readTransition(key, record)
		if err != nil {
			return at, false, err
		}
		at, ok = t.At, true
	}
	j.c.Seek(j.key)
	return at, ok, nil
}

// keyFilter returns a function that is called with the key of a transition. The function reports
// whether a query for id selects this transition. Every query selects the gaps, which are records
// of lost transitions.
func keyFilter(id health.ID) func(key []byte) bool {
	if (id == health.ID{}) {
		return func([]byte) bool { return true }
	}
	name := idKey(id)
	match := bytes.Equal
	if id.Instance == "" {
		match = bytes.HasPrefix
	}
	return func(key []byte) bool {
		_, gap, of, _ := parseTransitionKey(key)
		return gap || match(of, name)
	}
}

// TransitionsAfter implements [store.Store].
func (s *Store) TransitionsAfter(ctx context.Context, c store.Cursor) (store.Segment, error) {
	var segment store.Segment
	var refused error // an error about the cursor of the caller, and not about the file
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		sum, err := readSummary(tx)
		if err != nil {
			return err
		}
		if refused = c.Validate(sum.LastSeq); refused != nil {
			return nil
		}
		found, err := readForward(bucketOf(tx, bucketTransitions).Cursor(), &c)
		segment = store.NewSegment(c, found, sum.LastSeq)
		return err
	})
	if err != nil {
		return store.Segment{}, err
	}
	return segment, refused
}

// readForward reads the transitions after a cursor, the oldest first, up to the limit of the
// cursor.
func readForward(bc *bbolt.Cursor, c *store.Cursor) ([]store.Transition, error) {
	var found []store.Transition
	key, record := bc.Seek(binary.BigEndian.AppendUint64(nil, c.After+1))
	for ; key != nil && len(found) < c.Limit; key, record = bc.Next() {
		t, err := readTransition(key, record)
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, nil
}
