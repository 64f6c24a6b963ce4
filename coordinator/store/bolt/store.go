package bolt

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

// Store is a [store.Store] that keeps its records in a file. Open returns a Store.
type Store struct {
	path           string
	maxTransitions int
	db             *bbolt.DB
	times          store.TimeIndex // times of the transitions in the journal
	file           *os.File        // file to which db writes
	// indeterminate is true if the last commit in the file may be readable but not durable. This
	// is so after a failed commit, and after Open, because an earlier process may have made a
	// failed commit. Only the goroutine that writes to the store uses this field.
	indeterminate bool

	panicked atomic.Bool // true if bbolt panicked in a commit, so that the data of bbolt in memory may be wrong
	locked   atomic.Bool // true if a commit that panicked still holds the locks of bbolt, so that db.Close would block
	closed   atomic.Bool
}

var _ store.Store = (*Store)(nil)

// checkOpen returns an error if the store is closed or ctx has ended.
func (s *Store) checkOpen(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// view runs f in a read transaction.
func (s *Store) view(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := s.checkOpen(ctx); err != nil {
		return err
	}
	return s.wrapError(catchPanics(func() error { return s.db.View(f) }))
}

// update runs f in a write transaction.
func (s *Store) update(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := s.checkOpen(ctx); err != nil {
		return err
	}
	if s.panicked.Load() {
		return &refusedFile{path: s.path, why: ErrDamaged, detail: "an earlier commit has found damage", opened: true}
	}
	if err := s.endIndeterminate(); err != nil {
		return s.wrapError(err)
	}
	var tx *bbolt.Tx
	err := catchPanics(func() error {
		return s.db.Update(func(t *bbolt.Tx) error {
			tx = t
			return f(t)
		})
	})
	s.indeterminate = err != nil
	if p := (*boltPanic)(nil); errors.As(err, &p) {
		s.panicked.Store(true)
		s.locked.Store(tx != nil && tx.DB() != nil) // true if bbolt has not rolled back the transaction, so that bbolt still holds its locks
	}
	return s.wrapError(err)
}

// endIndeterminate makes the readable content of the file durable after a failed commit. Lookup
// calls it first, and so does each commit.
//
// If only the sync of the meta page has failed, the new commit can be read. But Linux treats the
// meta page as written, and no later sync writes it to the disk. After a power cut, the previous
// commit would be valid again, although the next commit may have overwritten its pages. So
// endIndeterminate writes the meta pages again. It also does this at the first call after Open,
// because an earlier process may have made a failed commit.
func (s *Store) endIndeterminate() error {
	if !s.indeterminate {
		return nil
	}
	if err := rewriteMetaPages(s.file, s.db.Info().PageSize); err != nil {
		return err
	}
	s.indeterminate = false
	return nil
}

// wrapError converts an error of bbolt into an error of this package. It returns nil for nil.
func (s *Store) wrapError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	case isDamage(err):
		return &refusedFile{path: s.path, why: ErrDamaged, detail: err.Error(), opened: true}
	default:
		return fmt.Errorf("store: %s: %w", s.path, err)
	}
}

// Close implements [store.Store]. If a commit has found damage, Close may return an error and
// leave the file locked until the process ends.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if s.locked.Load() {
		return fmt.Errorf("store: %s is damaged, and locked until the process ends", s.path)
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("store: %s: %w", s.path, err)
	}
	return nil
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context) (store.State, error) {
	var all store.State
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		sum, err := readSummary(tx)
		all.AliveAt, all.LastBatch = sum.AliveAt, sum.LastBatch
		return errors.Join(err,
			loadAll(tx, bucketRegistrations, &all.Registrations, readRegistration),
			loadAll(tx, bucketOverrides, &all.Overrides, readOverride),
			loadAll(tx, bucketStatuses, &all.Statuses, readStatus),
			loadAll(tx, bucketPositions, &all.Positions, readPosition))
	})
	if err != nil {
		return store.State{}, err
	}
	return all, nil
}

// Lookup implements [store.Store].
func (s *Store) Lookup(ctx context.Context, ids []health.ID) (store.State, error) {
	var some store.State
	if err := s.checkOpen(ctx); err != nil {
		return some, err
	}
	if err := s.endIndeterminate(); err != nil {
		return some, s.wrapError(err)
	}
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		sum, err := readSummary(tx)
		some.AliveAt, some.LastBatch = sum.AliveAt, sum.LastBatch
		found := map[health.ID]bool{}
		for _, id := range ids {
			if err == nil && !found[id] {
				found[id] = true
				err = loadRecordsOf(tx, &some, id)
			}
		}
		return err
	})
	if err != nil {
		return store.State{}, err
	}
	return some, nil
}

func loadRecordsOf(tx *bbolt.Tx, dst *store.State, id health.ID) error {
	key := idKey(id)
	return errors.Join(
		loadOne(tx, bucketRegistrations, key, &dst.Registrations, readRegistration),
		loadOne(tx, bucketOverrides, []byte(id.String()), &dst.Overrides, readOverride),
		loadOne(tx, bucketStatuses, key, &dst.Statuses, readStatus))
}

// Position implements [store.Store].
func (s *Store) Position(ctx context.Context, consumer string) (uint64, error) {
	var found []store.Position
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		return loadOne(tx, bucketPositions, []byte(consumer), &found, readPosition)
	})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return found[0].Seq, nil
}
