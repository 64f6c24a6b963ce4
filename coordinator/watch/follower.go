package watch

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// follower asks one instance for its health, for as long as its registration
// lasts.
type follower struct {
	w     *Watcher
	id    health.ID
	spec  *health.Spec
	after <-chan struct{} // the end of the one it replaces; nil if none
	done  chan struct{}
	stop  context.CancelCauseFunc

	endpoint *endpoint
	gone     <-chan struct{} // closed when its connection has broken
	cadence  cadence         // of polls

	mu      sync.Mutex
	silence *silence
	mode    health.Source
}

func newFollower(w *Watcher, e *feed.Entry, old *follower) *follower {
	f := &follower{w: w, id: e.ID, spec: e.Spec, done: make(chan struct{})}
	f.cadence = cadence{every: w.cfg.pace(w.cfg.PollEvery), longest: longestFor(w.cfg.UnreachableAfter), settle: w.cfg.RecoverAfter}
	if old != nil {
		f.after = old.done
	}
	return f
}

// follows reports whether the follower is still right for a registration.
func (f *follower) follows(s *health.Spec) bool {
	return f.spec.Lease == s.Lease && f.spec.Address == s.Address &&
		f.spec.HealthName == s.HealthName && f.spec.ServerName == s.ServerName
}

// ended is how following by one protocol came to its end.
type ended struct {
	err   error
	heard bool      // something had come
	since time.Time // when the last of it came, or the wait for it began
}

func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	if f.after != nil {
		<-f.after
	}
	e := f.w.pool.enter(f.id, f.spec)
	defer f.w.pool.leave(e)
	f.endpoint = e
	short, seen := 0, e.attempts.Load()
	for ctx.Err() == nil {
		got := e.connect(ctx, seen)
		seen = max(seen, got.number)
		if got.err != nil {
			f.tell(ctx, classifyDial(got.err), got.began)
			continue
		}
		began := time.Now()
		f.gone = got.gone
		f.follow(ctx, got.conn)
		short = shorter(short, time.Since(began))
		_ = pause(ctx, backoff(short))
	}
}

const (
	shortLived  = time.Second
	leastPause  = 100 * time.Millisecond
	longestStep = 8
	maxBackoff  = 15 * time.Second
)

// shorter counts the streams in a row that lived too shortly.
func shorter(n int, lived time.Duration) int {
	if lived >= shortLived {
		return 0
	}
	return n + 1
}

// backoff is how long to wait after n short streams in a row: not at all after
// one that had lived, and hardly after the first, which may just have met the
// end of a connection.
func backoff(n int) time.Duration {
	if n == 0 {
		return 0
	}
	most := min(leastPause<<min(n-1, longestStep), maxBackoff)
	return most/2 + time.Duration(rand.Int64N(int64(most)/2+1))
}

// follow goes down the chain of protocols until one is implemented, and
// returns when that ends.
func (f *follower) follow(ctx context.Context, conn *grpc.ClientConn) {
	defer f.setSource(health.SourceNone)
	var last finding
	var end ended
	for _, protocol := range []func(context.Context, *grpc.ClientConn) ended{f.extended, f.standard, f.poll} {
		end = protocol(ctx, conn)
		last = classifyCall(end.err, end.heard)
		if last.about != unimplemented {
			break
		}
	}
	if errors.Is(end.err, errSilent) {
		f.endpoint.missed(conn)
	}
	if ctx.Err() == nil {
		f.tell(ctx, last, end.since)
	}
}

// tell hands a finding on as evidence, if it is any.
func (f *follower) tell(ctx context.Context, found finding, since time.Time) {
	ev := health.Event{Reason: found.reason}
	switch found.about {
	case nothing:
		return
	case ourselves:
		if found.reason == "" { // our own will
			return
		}
		ev.Kind = health.EventUnwell
	case notAsked:
		ev.Kind = health.EventUnasked
	case path:
		ev.Kind = health.EventPath
	case refusal:
		ev.Kind = health.EventRefused
	default:
		ev.Kind, ev.Cause = health.EventConfig, found.cause
	}
	if !found.waited {
		since = time.Time{}
	}
	f.observe(ctx, ev, since)
}

// observe hands evidence to the registry; it fails only when either is about
// to end.
func (f *follower) observe(ctx context.Context, ev health.Event, since time.Time) {
	ev.ID, ev.Lease = f.id, f.spec.Lease
	_ = f.w.cfg.Observe(ctx, ev, since)
}

func (f *follower) alive(ctx context.Context) {
	f.observe(ctx, health.Event{Kind: health.EventAlive}, time.Time{})
}

func (f *follower) report(ctx context.Context, r health.Report) {
	f.observe(ctx, health.Event{Kind: health.EventReport, Report: r}, time.Time{})
}

// names returns what to ask for, in order: the health name, and where that is
// only the default, "" for targets that do not know it.
func (f *follower) names() []string {
	if f.spec.HealthName != "" {
		return []string{f.spec.HealthName}
	}
	return []string{f.id.Service, ""}
}

func (f *follower) setSource(s health.Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode = s
}

func (f *follower) source() health.Source {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mode
}
