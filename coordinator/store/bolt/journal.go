package bolt

import (
	"bytes"
	"context"
	"encoding/binary"

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
		page, err = readBackward(bucketOf(tx, bucketTransitions).Cursor(), &q)
		return err
	})
	return page, err
}

// readBackward reads one page of the journal, the newest transition first. If the query does not
// select a transition, readBackward reads only the key of this transition.
func readBackward(c *bbolt.Cursor, q *store.Query) (store.Page, error) {
	var page store.Page
	selected := keyFilter(q.ID)
	for key, record := seekBefore(c, q.Before); key != nil; key, record = c.Prev() {
		if !selected(key) {
			continue
		}
		if len(page.Transitions) == q.Limit {
			page.Next = page.Transitions[q.Limit-1].Seq
			break
		}
		t, err := readTransition(key, record)
		if err != nil {
			return store.Page{}, err
		}
		page.Transitions = append(page.Transitions, t)
	}
	return page, nil
}

// seekBefore moves c to the newest transition with a number below seq. If seq is 0, it moves c to
// the newest transition of all.
func seekBefore(c *bbolt.Cursor, seq uint64) (key, record []byte) {
	if seq == 0 {
		return c.Last()
	}
	if key, _ := c.Seek(binary.BigEndian.AppendUint64(nil, seq)); key == nil {
		return c.Last()
	}
	return c.Prev()
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
