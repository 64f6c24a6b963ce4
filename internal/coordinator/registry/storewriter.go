package registry

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
)

// storeWriter carries out the core's operations on the store. At most one operation is in progress,
// so a send on the channel operations or the channel results never blocks.
type storeWriter struct {
	store      store.Store
	log        *slog.Logger
	operations chan core.Operation       // operations to carry out; the owner closes the channel when it stops
	results    chan core.Result          // one Result for each operation
	done       chan struct{}             // closed when the method run returns
	began      atomic.Pointer[time.Time] // time at which the operation in progress began; nil if there is none
	failing    bool                      // true if the last commit has failed
}

func newStoreWriter(s store.Store, log *slog.Logger) *storeWriter {
	return &storeWriter{
		store: s, log: log,
		operations: make(chan core.Operation, 1), results: make(chan core.Result, 1), done: make(chan struct{}),
	}
}

// run carries out operations until the channel operations is closed. ctx must not end before the
// channel is closed, so that no operation is interrupted.
func (w *storeWriter) run(ctx context.Context) {
	defer close(w.done)
	for op := range w.operations {
		w.results <- w.perform(ctx, &op)
	}
}

func (w *storeWriter) perform(ctx context.Context, op *core.Operation) (r core.Result) {
	began := time.Now()
	w.began.Store(&began)
	if op.Batch != nil {
		r.Err = w.store.Commit(ctx, op.Batch)
	} else {
		r.Made, r.Err = w.holdsLast(ctx, op.Lookup)
	}
	w.began.Store(nil)
	if took := time.Since(began); took > core.SlowCommit {
		w.log.Warn("the store was slow; see its disk", "took", took)
	}
	if op.Batch != nil {
		w.logFailure(r.Err)
	}
	return r
}

// holdsLast reports whether the last batch in the store has the given ID.
func (w *storeWriter) holdsLast(ctx context.Context, id uint64) (bool, error) {
	found, err := w.store.Lookup(ctx, nil)
	return err == nil && found.LastBatch == id, err
}

// logFailure logs one line when commits begin to fail, and one line when commits succeed again.
func (w *storeWriter) logFailure(err error) {
	switch {
	case w.failing == (err != nil):
	case err != nil:
		w.log.Error("the store does not accept records; registrations and overrides are refused until it does", "error", err)
	default:
		w.log.Info("the store accepts records again")
	}
	w.failing = err != nil
}

// slowFor returns the age of the operation in progress. It returns 0 if no operation is in
// progress, or if the age is at most SlowCommit.
func (w *storeWriter) slowFor(now time.Time) time.Duration {
	began := w.began.Load()
	if began == nil || now.Sub(*began) <= core.SlowCommit {
		return 0
	}
	return now.Sub(*began)
}
