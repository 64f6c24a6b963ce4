package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// fillJournal is how full bbolt makes the pages of the journal, which only grows at
// its end.
const fillJournal = 0.95

// transitions appends to the journal.
func (w *writer) transitions(all []store.Transition) {
	w.bucket(bucketTransitions).FillPercent = fillJournal
	for _, t := range all {
		if w.err == nil {
			w.err = checkID(t.ID)
		}
		w.state.LastSeq++
		t.Seq = w.state.LastSeq
		w.write(bucketTransitions, transitionKey(&t), &t)
	}
}

// prune drops the oldest until at most so many are left.
func (w *writer) prune(most int) {
	tooMany := w.state.Transitions - most
	if w.err != nil || tooMany <= 0 {
		return
	}
	keys := make([][]byte, 0, tooMany)
	c := w.bucket(bucketTransitions).Cursor()
	for k, _ := c.First(); k != nil && len(keys) < tooMany; k, _ = c.Next() {
		keys = append(keys, k)
	}
	for _, k := range keys {
		w.remove(bucketTransitions, k)
	}
}

// Transitions implements [store.Store].
func (s *Store) Transitions(ctx context.Context, q store.Query) (store.Page, error) {
	if err := s.ready(ctx); err != nil {
		return store.Page{}, err
	}
	if err := q.Validate(); err != nil {
		return store.Page{}, err
	}
	var page store.Page
	err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
		page, err = readPage(tx.Bucket([]byte(bucketTransitions)).Cursor(), &q)
		return err
	})
	return page, err
}

// readPage walks back from the newest. Of the transitions of others it reads
// only the keys.
func readPage(c *bbolt.Cursor, q *store.Query) (store.Page, error) {
	var page store.Page
	wanted := filter(q.ID)
	for key, record := before(c, q.Before); key != nil; key, record = c.Prev() {
		if !wanted(key) {
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

// before goes to the newest transition with a lower number; 0 means any.
func before(c *bbolt.Cursor, seq uint64) (key, record []byte) {
	if seq == 0 {
		return c.Last()
	}
	if key, _ := c.Seek(binary.BigEndian.AppendUint64(nil, seq)); key == nil {
		return c.Last()
	}
	return c.Prev()
}

// filter tells by its key whether a transition belongs to a name; gaps belong
// to all.
func filter(id health.ID) func(key []byte) bool {
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
