package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
)

// StopWithin is the longest time for which Run waits for the store after ctx has ended.
const StopWithin = 5 * time.Second

// ErrHangs is the error of Run if an operation of the store has not ended within StopWithin. In
// that case, the operation still uses the store, so the store must not be closed.
var ErrHangs = errors.New("a commit of the store has not ended")

// inboxSize is the number of inputs that may wait for the owner. If so many inputs wait, callers of
// Observe are blocked.
const inboxSize = 4096

// owner is the state of the goroutine that owns the core.
type owner struct {
	core      *core.Core
	feed      *feed.Feed
	log       *slog.Logger
	published func([]health.Change) // function that is called after each publication
	writer    *storeWriter
	inbox     chan core.Input
	closed    chan struct{} // closed when the owner begins to stop: it accepts no new input and answers only earlier commands
	ended     chan struct{} // closed when the owner gives no more answers

	inputs   []core.Input // inputs for the next Step
	lastBeat time.Time
	late     atomic.Pointer[lateWakes]  // how often the owner ran later than planned, and when this happened last; nil if it never happened
	stats    atomic.Pointer[core.Stats] // Stats after the last Step; nil before the first Step
	waiting  atomic.Int64               // number of transitions that wait for the store
	lost     atomic.Uint64              // number of transitions that were dropped since the start
}

// lateWakes holds how often this goroutine ran later than planned since the start, and when this
// happened last.
type lateWakes struct {
	times uint64
	last  time.Time
}

// run calls the method step again and again until ctx ends. After that, the method stop makes the
// final write.
func (o *owner) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	o.lastBeat = time.Now()
	for {
		timer.Reset(time.Until(o.step()))
		select {
		case <-ctx.Done():
			return
		case in := <-o.inbox:
			o.inputs = append(o.inputs, in)
		case r := <-o.writer.results:
			o.inputs = append(o.inputs, core.Input{Result: &r})
		case <-timer.C:
		}
	}
}

// stop makes the store write all waiting commands and records. It returns ErrHangs if
// this takes longer than StopWithin.
func (o *owner) stop() error {
	defer close(o.ended)
	close(o.closed)
	limit := time.NewTimer(StopWithin)
	defer limit.Stop()
	o.core.Stop()
	for {
		o.step()
		if o.core.Stopped() {
			return nil
		}
		select {
		case in := <-o.inbox:
			o.inputs = append(o.inputs, in)
		case r := <-o.writer.results:
			o.inputs = append(o.inputs, core.Input{Result: &r})
		case <-limit.C:
			return fmt.Errorf("%w within %v of the end: records that waited for it may be lost", ErrHangs, StopWithin)
		}
	}
}

// step passes the waiting inputs to the core, and carries out its output. It returns the
// time at which the next step is due.
func (o *owner) step() (next time.Time) {
	now := time.Now()
	o.collect()
	out := o.core.Step(now, o.inputs)
	clear(o.inputs)
	o.inputs = o.inputs[:0]
	o.noteStats(now, &out)
	o.publish(&out)
	if out.Operation != nil {
		o.writer.operations <- *out.Operation
	}
	o.beat(now)
	next = now.Add(out.Sleep)
	// Heartbeats are not moved by steps between them. Their times would tell when others change something.
	if beat := o.lastBeat.Add(time.Second); beat.Before(next) {
		return beat
	}
	return next
}

// collect appends the waiting inputs to o.inputs. It stops after inboxSize inputs, so that the
// results of the first inputs are published without further delay.
func (o *owner) collect() {
	for range inboxSize {
		select {
		case in := <-o.inbox:
			o.inputs = append(o.inputs, in)
		case r := <-o.writer.results:
			o.inputs = append(o.inputs, core.Input{Result: &r})
		default:
			return
		}
	}
}

func (o *owner) noteStats(now time.Time, out *core.Output) {
	o.waiting.Store(int64(out.Waiting))
	o.lost.Store(out.Lost)
	if last := o.stats.Load(); last == nil || !last.Equal(&out.Stats) {
		stats := out.Stats
		o.stats.Store(&stats)
	}
	if out.Late > 0 {
		l := lateWakes{times: 1, last: now}
		if before := o.late.Load(); before != nil {
			l.times += before.times
		}
		o.late.Store(&l)
		o.log.Warn("the coordinator was stopped or starved; every deadline was moved", "late", out.Late)
	}
}

// publish publishes the changes to the feed. The feed then wakes its readers. After that, publish
// calls o.published, logs the transitions, and calls the functions in out.Replies. It waits for no
// reader.
func (o *owner) publish(out *core.Output) {
	o.feed.Publish(out.Changes)
	o.published(out.Changes)
	for i := range out.Changes {
		logChange(o.log, &out.Changes[i])
	}
	for _, reply := range out.Replies {
		reply()
	}
}

// beat sends a heartbeat of the feed if the last heartbeat is at least a second old. After a longer
// pause, beat also sends only one heartbeat.
func (o *owner) beat(now time.Time) {
	if now.Sub(o.lastBeat) < time.Second {
		return
	}
	o.lastBeat = o.lastBeat.Add(now.Sub(o.lastBeat).Truncate(time.Second))
	o.feed.Beat()
}
