package bolt

import (
	"context"
	"encoding/binary"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	var oldest uint64 // number of the oldest transition after the commit; 0: not known
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		sum, err := readSummary(tx)
		if err != nil {
			return err
		}
		w := &batchWriter{tx: tx, summary: sum, times: &s.times}
		w.deleteRecords(b)
		w.putRecords(b)
		w.appendTransitions(b.Transitions)
		w.putPositions(b.PutPositions)
		w.dropOldest(s.maxTransitions)
		w.summary.LastBatch = b.ID
		if !b.AliveAt.IsZero() {
			w.summary.AliveAt = b.AliveAt
		}
		if w.err != nil {
			return w.err
		}
		oldest = w.oldest
		return writeSummary(tx, &w.summary)
	})
	if err == nil {
		s.times.Drop(oldest)
	}
	return err
}

// batchWriter writes one batch in a transaction. After an error its methods write nothing,
// and the transaction is rolled back.
type batchWriter struct {
	tx      *bbolt.Tx
	summary summary // record with the number of records of each kind, as it will be after the batch
	times   *store.TimeIndex
	oldest  uint64 // number of the oldest transition that dropOldest has left; 0: it has dropped none
	err     error
}

func (w *batchWriter) deleteRecords(b *store.Batch) {
	for _, id := range b.DeleteRegistrations {
		w.delete(bucketRegistrations, idKey(id))
		w.delete(bucketStatuses, idKey(id))
	}
	for _, scope := range b.DeleteOverrides {
		w.delete(bucketOverrides, []byte(scope))
	}
	for _, consumer := range b.DeletePositions {
		w.delete(bucketPositions, []byte(consumer))
	}
}

func (w *batchWriter) putRecords(b *store.Batch) {
	for i := range b.PutRegistrations {
		r := &b.PutRegistrations[i]
		w.putByID(bucketRegistrations, r.ID, r)
	}
	for i := range b.PutOverrides {
		o := &b.PutOverrides[i]
		w.put(bucketOverrides, []byte(o.Scope), o)
	}
	for i := range b.PutStatuses {
		s := &b.PutStatuses[i]
		if bucketOf(w.tx, bucketRegistrations).Get(idKey(s.ID)) != nil {
			w.putByID(bucketStatuses, s.ID, s)
		}
	}
}

// putPositions writes the positions of consumers. It must be called after the transitions of the
// batch were written, because a position may be the number of one of these transitions.
func (w *batchWriter) putPositions(positions []store.Position) {
	for i := range positions {
		p := &positions[i]
		if w.err == nil {
			w.err = p.Validate(w.summary.LastSeq)
		}
		w.put(bucketPositions, []byte(p.Consumer), p)
	}
	if w.err == nil {
		w.err = store.CheckConsumers(w.summary.Positions)
	}
}

// fillJournal is the fraction of each page of the journal that bbolt fills. It is high,
// because new transitions are added only at the end.
const fillJournal = 0.95

// appendTransitions writes the transitions to the journal, each with the next number.
func (w *batchWriter) appendTransitions(all []store.Transition) {
	bucketOf(w.tx, bucketTransitions).FillPercent = fillJournal
	for _, t := range all {
		if w.err == nil {
			w.err = checkID(t.ID)
		}
		w.summary.LastSeq++
		t.Seq = w.summary.LastSeq
		w.times.Add(&t)
		w.put(bucketTransitions, transitionKey(&t), &t)
	}
}

// dropOldest deletes the oldest transitions, so that at most limit transitions remain.
func (w *batchWriter) dropOldest(limit int) {
	tooMany := w.summary.Transitions - limit
	if w.err != nil || tooMany <= 0 {
		return
	}
	keys := make([][]byte, 0, tooMany)
	c := bucketOf(w.tx, bucketTransitions).Cursor()
	k, _ := c.First()
	for ; k != nil && len(keys) < tooMany; k, _ = c.Next() {
		keys = append(keys, k)
	}
	if k != nil {
		w.oldest = binary.BigEndian.Uint64(k)
	}
	for _, k := range keys {
		w.delete(bucketTransitions, k)
	}
}

// delete removes the record of a key, if there is one, and updates the number of records in
// w.summary.
func (w *batchWriter) delete(bucket string, key []byte) {
	b := bucketOf(w.tx, bucket)
	if w.err != nil || b.Get(key) == nil {
		return
	}
	if w.err = b.Delete(key); w.err == nil {
		*w.summary.count(bucket)--
	}
}

func (w *batchWriter) putByID(bucket string, id health.ID, v any) {
	if w.err == nil {
		w.err = checkID(id)
	}
	w.put(bucket, idKey(id), v)
}

// put adds or replaces the record of a key, and updates the number of records in w.summary.
func (w *batchWriter) put(bucket string, key []byte, v any) {
	if w.err != nil {
		return
	}
	b := bucketOf(w.tx, bucket)
	isNew := b.Get(key) == nil
	if w.err = putRecord(b, bucket, key, v); w.err == nil && isNew {
		*w.summary.count(bucket)++
	}
}
