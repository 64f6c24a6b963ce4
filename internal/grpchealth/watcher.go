package grpchealth

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/health/feed"
)

// stuckAfter is the time for which WaitWatchers waits for a stream whose client does not read.
const stuckAfter = time.Second

// watcher is the state of one open Watch, as WaitWatchers needs it.
type watcher struct {
	stream context.Context // context of the gRPC stream
	// sendBegan is the time when the current call of Send began, in ns since Handlers.made.
	// It is 0 while no call of Send runs.
	sendBegan atomic.Int64
	// returned is true after the handler of the Watch has returned.
	returned atomic.Bool
}

// openWatch counts a new Watch, or returns an error if the Watch is refused. ctx ends when
// the stream ends or End is called. The cause of ctx is the error that the handler must
// return. The caller must call done when its handler returns.
func (h *Handlers) openWatch(stream context.Context) (ctx context.Context, w *watcher, done func(), err error) {
	// The watcher is stored before h.ended is checked. So WaitWatchers, which runs after End,
	// finds every Watch that is not refused.
	w = &watcher{stream: stream}
	h.watchers.Store(w, nil)
	var release func()
	if err = context.Cause(h.ended); err == nil {
		release, err = h.limiter.Add(stream)
	}
	if err != nil {
		h.watchers.Delete(w)
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(stream)
	unhook := context.AfterFunc(h.ended, func() { cancel(context.Cause(h.ended)) })
	return ctx, w, func() { unhook(); cancel(nil); w.returned.Store(true); h.watchers.Delete(w); release() }, nil
}

// nextStep waits for the next step of a Watch: changes, a snapshot or a heartbeat. If ctx has
// ended before the call, end is the cause of ctx. In this case the caller must send the step
// and return end. No further step is sent, because endless changes must not keep a stream open.
func nextStep(ctx context.Context, reader *feed.Reader) (step feed.Step, end, err error) {
	end = context.Cause(ctx)
	step, err = reader.Next(ctx)
	return step, end, err
}

// timedStream is the stream of a Watch. While its method Send or SendMsg runs, watcher.sendBegan has
// the time when the method began.
type timedStream[M any] struct {
	grpc.ServerStreamingServer[M]
	h *Handlers
	w *watcher
}

func (s timedStream[M]) Send(m *M) error {
	s.noteBegin()
	defer s.w.sendBegan.Store(0)
	return s.ServerStreamingServer.Send(m)
}

func (s timedStream[M]) SendMsg(m any) error {
	s.noteBegin()
	defer s.w.sendBegan.Store(0)
	return s.ServerStreamingServer.SendMsg(m)
}

func (s timedStream[M]) noteBegin() { s.w.sendBegan.Store(max(1, int64(time.Since(s.h.made)))) }

// WaitWatchers must be called after End. It waits until every Watch has passed its last
// messages and its status to the transport of gRPC. The transport does not report when it has
// sent this data. WaitWatchers ignores a stream whose client has not read for a second. If ctx
// ends first, the error contains the number of streams that have not ended.
func (h *Handlers) WaitWatchers(ctx context.Context) error {
	var all []*watcher
	h.watchers.Range(func(w, _ any) bool { all = append(all, w.(*watcher)); return true })
	for i, w := range all {
		if err := h.waitFor(ctx, w); err != nil {
			return fmt.Errorf("%d Watch streams have not ended: %w", countOpen(all[i:]), err)
		}
	}
	return nil
}

func countOpen(all []*watcher) (n int) {
	for _, w := range all {
		if w.stream.Err() == nil {
			n++
		}
	}
	return n
}

// waitFor waits until one stream has ended, or until its client has not read for the time
// stuckAfter.
func (h *Handlers) waitFor(ctx context.Context, w *watcher) error {
	for {
		began, returned := w.sendBegan.Load(), w.returned.Load()
		rest := stuckAfter
		if began > 0 {
			rest -= time.Since(h.made) - time.Duration(began)
		}
		timer := time.NewTimer(rest)
		select {
		case <-w.stream.Done():
			timer.Stop()
			return nil
		case <-ctx.Done():
			timer.Stop()
			if w.stream.Err() != nil {
				return nil
			}
			return context.Cause(ctx)
		case <-timer.C:
		}
		// If the handler has returned, the stream has ended, although its context may not yet be
		// done.
		if returned || began > 0 && began == w.sendBegan.Load() {
			return nil
		}
	}
}
