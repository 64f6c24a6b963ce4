package boltstore

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		st, err := readState(tx)
		if err != nil {
			return err
		}
		w := &writer{tx: tx, state: st}
		w.deletes(b)
		w.puts(b)
		w.transitions(b.Transitions)
		w.prune(s.maxTransitions)
		if !b.AliveAt.IsZero() {
			w.state.AliveAt = b.AliveAt
		}
		if w.err != nil {
			return w.err
		}
		return writeState(tx, &w.state)
	})
}

// writer puts one batch into a transaction. After its first error it does
// nothing more, and the transaction is given up.
type writer struct {
	tx    *bbolt.Tx
	state state
	err   error
}

func (w *writer) deletes(b *store.Batch) {
	for _, id := range b.DeleteRegistrations {
		w.remove(bucketRegistrations, idKey(id))
		w.remove(bucketOverrides, idKey(id))
		w.remove(bucketStatuses, idKey(id))
	}
	for _, id := range b.DeleteOverrides {
		w.remove(bucketOverrides, idKey(id))
	}
}

func (w *writer) puts(b *store.Batch) {
	for i := range b.PutRegistrations {
		r := &b.PutRegistrations[i]
		w.put(bucketRegistrations, r.ID, r)
	}
	for i := range b.PutOverrides {
		o := &b.PutOverrides[i]
		w.put(bucketOverrides, o.ID, o)
	}
	for i := range b.PutStatuses {
		s := &b.PutStatuses[i]
		if w.bucket(bucketRegistrations).Get(idKey(s.ID)) != nil {
			w.put(bucketStatuses, s.ID, s)
		}
	}
}

func (w *writer) bucket(name string) *bbolt.Bucket { return w.tx.Bucket([]byte(name)) }

func (w *writer) remove(bucket string, key []byte) {
	b := w.bucket(bucket)
	if w.err != nil || b.Get(key) == nil {
		return
	}
	if w.err = b.Delete(key); w.err == nil {
		*w.state.count(bucket)--
	}
}

func (w *writer) put(bucket string, id health.ID, v any) {
	if w.err == nil {
		w.err = checkID(id)
	}
	w.write(bucket, idKey(id), v)
}

func (w *writer) write(bucket string, key []byte, v any) {
	if w.err != nil {
		return
	}
	var record []byte
	if record, w.err = seal(bucket, key, v); w.err != nil {
		return
	}
	b := w.bucket(bucket)
	isNew := b.Get(key) == nil
	if w.err = b.Put(key, record); w.err == nil && isNew {
		*w.state.count(bucket)++
	}
}
