package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/input"
)

const (
	// DefaultAccessPollEvery is the interval at which the file of an access policy is looked at.
	DefaultAccessPollEvery = 5 * time.Second
	// stableFor is the time after which new content must still be the same before it is used, because it
	// may be half written.
	stableFor = time.Second
	// settledAfter is the age from which the time of a file shows each later change. The clocks of some file
	// systems have steps of 2 s.
	settledAfter = 3 * time.Second
)

// AccessReloader applies the changed file of an access policy to a coordinator that runs.
type AccessReloader struct {
	// File is the name of the file.
	File string
	// Running is the access policy that the coordinator uses.
	Running *coordinator.AccessPolicy
	// Coordinator is the coordinator to change.
	Coordinator *coordinator.Coordinator
	// Logger receives an INFO for each change, and an ERROR for each content that cannot be used.
	Logger *slog.Logger
	// PollEvery is the interval at which the file is looked at; 0 means DefaultAccessPollEvery. New content is
	// used when two reads in a row have found it.
	PollEvery time.Duration

	reloads    chan chan error // requests of Reload
	ended      chan struct{}   // closed when Run returns
	used, seen accessDigest    // digests of the content that is used, and of the content that was read last
	info       fs.FileInfo     // of the file before it was read last; nil if its next read is due in any case
	failed     bool            // true while the coordinator is DEGRADED because of the file
	faulty     accessDigest    // digest of the content that was refused last
	fault      error           // why it was refused
}

// accessDigest is the hash of the content of a file, or of the error of reading it.
type accessDigest [sha256.Size]byte

// NewAccessReloader returns a reloader. The caller must call Run.
func NewAccessReloader(file string, running *coordinator.AccessPolicy, c *coordinator.Coordinator, logger *slog.Logger) *AccessReloader {
	return &AccessReloader{
		File: file, Running: running, Coordinator: c, Logger: logger,
		reloads: make(chan chan error), ended: make(chan struct{}),
	}
}

// Run looks at the file at each interval until ctx ends, and uses changed content. A file that has a
// fault, is missing or is empty changes no right. The coordinator is DEGRADED until the file is well again. Run may be called once.
func (r *AccessReloader) Run(ctx context.Context) {
	defer close(r.ended)
	every := r.PollEvery
	if every <= 0 {
		every = DefaultAccessPollEvery
	}
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			next := every
			if !r.poll(ctx) {
				next = min(every, stableFor)
			}
			timer.Reset(next)
		case answer := <-r.reloads:
			answer <- r.reload(ctx)
		}
	}
}

// Reload reads the file and uses its content at once. It returns the fault of a file that cannot be used. It waits
// for Run.
func (r *AccessReloader) Reload(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case r.reloads <- answer:
		return <-answer
	case <-r.ended:
		return errors.New("the access policy is not read any more, because the coordinator stops")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// poll reads the file if it may have changed. It uses a new content if the read before has found it too. The
// result is false if the next read must come soon.
func (r *AccessReloader) poll(ctx context.Context) (stable bool) {
	info, err := os.Stat(r.File)
	if err == nil && !r.failed && r.seen == r.used && sameFile(r.info, info) {
		return true
	}
	text, err := r.read(ctx, info, err)
	if ctx.Err() != nil {
		return true
	}
	hash := digestOf(text, err)
	stable = hash == r.seen
	r.seen = hash
	if stable {
		_ = r.apply(ctx, hash, text, err) // apply has logged the fault
	}
	return stable
}

// reload reads the file and uses its content.
func (r *AccessReloader) reload(ctx context.Context) error {
	info, err := os.Stat(r.File)
	text, err := r.read(ctx, info, err)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.seen, r.faulty = digestOf(text, err), accessDigest{}
	return r.apply(ctx, r.seen, text, err)
}

// sameFile reports whether a file is unchanged since it was read. was is nil if this cannot be known.
func sameFile(was, is fs.FileInfo) bool {
	return was != nil && os.SameFile(was, is) && was.Size() == is.Size() && was.ModTime().Equal(is.ModTime())
}

// read reads the file. info and err are what is known of it from before.
func (r *AccessReloader) read(ctx context.Context, info fs.FileInfo, err error) ([]byte, error) {
	r.info = nil
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%q is no regular file; allowed: a file, because it is read again", r.File)
	}
	if time.Since(info.ModTime()) > settledAfter {
		r.info = info
	}
	text, err := input.Read(ctx, input.MaxFile, func() (io.ReadCloser, error) { return os.Open(r.File) })
	if errors.Is(err, input.ErrTooLarge) {
		err = fmt.Errorf("%q %w", r.File, err)
	}
	return text, err
}

func digestOf(text []byte, err error) accessDigest {
	if err != nil {
		return sha256.Sum256([]byte("error " + err.Error()))
	}
	sum := sha256.Sum256(text)
	return sha256.Sum256(append([]byte("text "), sum[:]...))
}

// apply uses the content of the file. err is the error of reading it.
func (r *AccessReloader) apply(ctx context.Context, hash accessDigest, text []byte, err error) error {
	switch {
	case hash == r.used:
	case hash == r.faulty:
		r.note(ctx, false)
		return r.fault
	default:
		if err == nil {
			err = r.use(text)
		}
		if err != nil {
			r.faulty, r.fault = hash, accessError(err)
			r.note(ctx, false)
			r.Logger.Error("the access policy was not read again; the previous one stays in use, and the file is read again until it is well",
				"file", r.File, "error", r.fault)
			return r.fault
		}
	}
	r.used, r.faulty, r.fault = hash, accessDigest{}, nil
	r.note(ctx, true)
	return nil
}

// use passes the policy in a text to the coordinator if it differs from the one in use.
func (r *AccessReloader) use(text []byte) error {
	policy, err := ParseAccessPolicy(r.File, text)
	if err != nil {
		return err
	}
	d := differenceOf(r.Running, policy)
	if d.empty() {
		return nil
	}
	ended, err := r.Coordinator.SetAccess(policy)
	if err != nil {
		return err
	}
	r.Running = policy
	r.Logger.Info("the access policy was read again", append(d.attrs(), "file", r.File, "streams_ended", ended)...)
	return nil
}

// note tells the coordinator whether the file can be used.
func (r *AccessReloader) note(ctx context.Context, usable bool) {
	if usable && !r.failed {
		return
	}
	if err := r.Coordinator.NoteAccessFile(ctx, usable); err != nil {
		return // the coordinator stops
	}
	if usable {
		r.Logger.Info("the file of the access policy can be used again", "file", r.File)
	}
	r.failed = !usable
}
