package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Options are the options of Open. The zero value has the defaults.
type Options struct {
	// SegmentBytes is the largest size of one file. 0 means 16 MiB; otherwise at least 64 KiB.
	SegmentBytes int64
	// MaxBytes bounds the files of the accepted writes. 0 means 1 GiB; otherwise at least two
	// segments. At the bound the oldest segment is removed.
	MaxBytes int64
	// MaxRefusedBytes bounds the files of the refusals. 0 means 64 MiB; otherwise at least two
	// segments.
	MaxRefusedBytes int64
	// Detail is the detail of the line about the start, such as the version of the program.
	Detail string
	// Now is the clock. If it is nil, the log uses time.Now.
	Now func() time.Time
	// Logger receives a record when the log begins to fail, and when it works again. If it is nil,
	// nothing is logged.
	Logger *slog.Logger
}

const (
	defaultSegmentBytes    = 16 << 20
	defaultMaxBytes        = 1 << 30
	defaultMaxRefusedBytes = 64 << 20
	minSegmentBytes        = 64 << 10

	maxBatch   = 1024   // lines that are written together
	maxWaiting = 10_000 // lines that wait to be written
	maxNotes   = 100    // refusals that wait to be written
	slowWrite  = 2 * time.Second
)

// The errors of a log.
var (
	// ErrClosed means that Run has ended.
	ErrClosed = errors.New("audit: the log is closed")
	// ErrLocked means that another process writes to the folder.
	ErrLocked = errors.New("is in use by another process; stop that process, or give another folder")
	// ErrFull means that too many lines wait, because the disk does not keep up.
	ErrFull = fmt.Errorf("audit: %d lines wait for the disk; ask again later", maxWaiting)
)

// Log is an audit log. Open returns a Log.
type Log struct {
	dir             string
	lock            *os.File
	writes, refused *chain    // used only by Run
	synced          time.Time // when Run has last synced refusals
	now             func() time.Time
	logger          *slog.Logger
	wake            chan struct{} // tells Run that something waits; has a buffer of one

	mu      sync.Mutex
	closed  bool // Run has ended or will end now
	shut    bool // Close was called
	waiting []*request
	notes   []stamped // refusals that wait to be written
	rate    rate
	dropped uint64    // refusals that were not written and that no line counts yet
	due     time.Time // when the next line of the kind Dropped may be written
	stats   Stats
}

// request is one call of Append.
type request struct {
	stamped
	done chan error // receives the result; has a buffer of one
}

// Open opens the log in a folder, which it makes if there is none. The folder above it must exist. Open
// refuses a folder to which another process writes. If a file is damaged, Open succeeds, and Stats says
// what is damaged.
func Open(dir string, opts Options) (*Log, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	lock, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, lock: lock, now: opts.Now, logger: opts.Logger, wake: make(chan struct{}, 1)}
	var errWrites, errRefused error
	l.writes, errWrites = openChain(dir, Writes, opts.SegmentBytes, opts.MaxBytes)
	l.refused, errRefused = openChain(dir, Refusals, opts.SegmentBytes, opts.MaxRefusedBytes)
	if err := errors.Join(errWrites, errRefused); err != nil {
		return nil, errors.Join(err, unlockFile(lock), lock.Close())
	}
	l.writes.addNote(ownRecord(Start, opts.Detail))
	l.publish()
	return l, nil
}

// complete fills in the defaults, and checks the bounds.
func (o *Options) complete() error {
	o.SegmentBytes = cmp.Or(o.SegmentBytes, defaultSegmentBytes)
	o.MaxBytes = cmp.Or(o.MaxBytes, max(defaultMaxBytes, 2*o.SegmentBytes))
	o.MaxRefusedBytes = cmp.Or(o.MaxRefusedBytes, max(defaultMaxRefusedBytes, 2*o.SegmentBytes))
	for _, bound := range []struct {
		field        string
		value, least int64
	}{
		{"SegmentBytes", o.SegmentBytes, minSegmentBytes},
		{"MaxBytes", o.MaxBytes, 2 * o.SegmentBytes},
		{"MaxRefusedBytes", o.MaxRefusedBytes, 2 * o.SegmentBytes},
	} {
		if bound.value < bound.least {
			return fmt.Errorf("audit: %s: is %d; allowed: at least %d", bound.field, bound.value, bound.least)
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Append writes a line about a write that is allowed, and returns when the line is durable. The caller
// makes the effect of the write only after that. After an error the line may be there or not, and the
// caller must not make the effect. Kind must be Write or Policy.
func (l *Log) Append(ctx context.Context, r Record) error {
	if r.Kind != Write && r.Kind != Policy {
		return fmt.Errorf("audit: kind: is %q; allowed: %s, %s", r.Kind, Write, Policy)
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	q := &request{stamped: stamped{Record: r.cleaned()}, done: make(chan error, 1)}
	if err := l.enqueue(ctx, q); err != nil {
		return err
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		l.withdraw(q)
		return ctx.Err()
	}
}

func (l *Log) enqueue(ctx context.Context, q *request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case l.closed:
		return ErrClosed
	case len(l.waiting) >= maxWaiting:
		return ErrFull
	}
	q.at = l.now()
	l.waiting = append(l.waiting, q)
	l.wakeRun()
	return nil
}

// withdraw removes a request that nobody waits for, if it is not being written.
func (l *Log) withdraw(q *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.waiting {
		if other == q {
			l.waiting = append(l.waiting[:i:i], l.waiting[i+1:]...)
			return
		}
	}
}

// Note writes a line about a refused request. It never waits. At most 10 refusals a second are
// written. The others are counted, and a line of the kind Dropped has their number. Note sets the kind
// of the record. A refusal is not synced at once, so a power cut may lose it.
func (l *Log) Note(r Record) {
	r.Kind = Refused
	if r.check() != nil {
		r = Record{Kind: Refused, Source: Anonymous, Outcome: Denied, Detail: "the record of this refusal was not valid"}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	switch {
	case l.closed:
		return
	case len(l.notes) >= maxNotes || !l.rate.allow(now):
		l.drop(now, 1)
	default:
		l.notes = append(l.notes, stamped{r.cleaned(), now})
	}
	l.wakeRun()
}

// drop counts refusals that are not written. mu must be held.
func (l *Log) drop(now time.Time, n int) {
	if l.dropped == 0 {
		l.due = now.Add(time.Second)
	}
	l.dropped += uint64(n)
	l.stats.Dropped += uint64(n)
}

// wakeRun wakes Run.
func (l *Log) wakeRun() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close closes the files, and lets other processes open the folder. It must be called after Run has
// returned. A log that was never run can be closed too.
func (l *Log) Close() error {
	l.mu.Lock()
	again := l.shut
	l.closed, l.shut = true, true
	l.mu.Unlock()
	if again {
		return nil
	}
	return errors.Join(l.writes.close(), l.refused.close(), unlockFile(l.lock), l.lock.Close())
}
