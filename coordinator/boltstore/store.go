package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// Store is a store in a file. Open makes one.
type Store struct {
	path           string
	maxTransitions int
	db             *bbolt.DB
	file           *os.File // the one db writes to
	unsettled      bool     // a commit failed; the writer's own

	broken atomic.Bool // bbolt panicked while it wrote
	stuck  atomic.Bool // and kept its locks: Close would hang
	closed atomic.Bool
}

var _ store.Store = (*Store)(nil)

// open opens a file that was found to be good.
func (s *Store) open() error {
	opts := boltOptions()
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		// Had the file vanished since, an empty one would not do.
		s.file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
		return s.file, err
	}
	return guard(func() (err error) {
		s.db, err = bbolt.Open(s.path, 0o600, opts)
		return err
	})
}

// view runs f in a transaction that reads.
func (s *Store) view(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.explain(guard(func() error { return s.db.View(f) }))
}

// update runs f in a transaction that writes.
func (s *Store) update(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if s.broken.Load() {
		return &refused{path: s.path, why: ErrDamaged, detail: "an earlier commit met it", open: true}
	}
	if err := s.settle(); err != nil {
		return s.explain(err)
	}
	var tx *bbolt.Tx
	err := guard(func() error {
		return s.db.Update(func(t *bbolt.Tx) error {
			tx = t
			return f(t)
		})
	})
	s.unsettled = err != nil
	if panicked := (*fault)(nil); errors.As(err, &panicked) {
		s.broken.Store(true)
		s.stuck.Store(tx != nil && tx.DB() != nil) // not even rolled back
	}
	return s.explain(err)
}

func (s *Store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// explain turns bbolt's errors into ours.
func (s *Store) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	case damage(err):
		return &refused{path: s.path, why: ErrDamaged, detail: err.Error(), open: true}
	default:
		return fmt.Errorf("boltstore: %s: %w", s.path, err)
	}
}

// Close implements [store.Store].
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if s.stuck.Load() {
		return fmt.Errorf("boltstore: %s: damaged, and locked until the process ends", s.path)
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("boltstore: %s: %w", s.path, err)
	}
	return nil
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context) (store.State, error) {
	var all store.State
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		st, err := readState(tx)
		all.AliveAt = st.AliveAt
		return errors.Join(err,
			loadAll(tx, bucketRegistrations, &all.Registrations, readRegistration),
			loadAll(tx, bucketOverrides, &all.Overrides, readOverride),
			loadAll(tx, bucketStatuses, &all.Statuses, readStatus))
	})
	if err != nil {
		return store.State{}, err
	}
	return all, nil
}

func loadAll[T any](tx *bbolt.Tx, bucket string, dst *[]T, read func(key, record []byte) (T, error)) error {
	return tx.Bucket([]byte(bucket)).ForEach(func(key, record []byte) error {
		v, err := read(key, record)
		*dst = append(*dst, v)
		return err
	})
}

// Lookup implements [store.Store]. What it returns is durable.
func (s *Store) Lookup(ctx context.Context, ids []health.ID) (store.State, error) {
	var some store.State
	if err := s.ready(ctx); err != nil {
		return some, err
	}
	if err := s.settle(); err != nil {
		return some, s.explain(err)
	}
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		st, err := readState(tx)
		some.AliveAt = st.AliveAt
		seen := map[health.ID]bool{}
		for _, id := range ids {
			if err == nil && !seen[id] {
				seen[id] = true
				err = lookup(tx, &some, idKey(id))
			}
		}
		return err
	})
	if err != nil {
		return store.State{}, err
	}
	return some, nil
}

func lookup(tx *bbolt.Tx, dst *store.State, key []byte) error {
	return errors.Join(
		loadOne(tx, bucketRegistrations, key, &dst.Registrations, readRegistration),
		loadOne(tx, bucketOverrides, key, &dst.Overrides, readOverride),
		loadOne(tx, bucketStatuses, key, &dst.Statuses, readStatus))
}

func loadOne[T any](tx *bbolt.Tx, bucket string, key []byte, dst *[]T, read func(key, record []byte) (T, error)) error {
	record := tx.Bucket([]byte(bucket)).Get(key)
	if record == nil {
		return nil
	}
	v, err := read(key, record)
	*dst = append(*dst, v)
	return err
}
