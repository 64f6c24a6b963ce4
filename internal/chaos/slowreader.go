package chaos

import (
	"context"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// slowReader is a watcher that pauses after each message, so that it reads slowly or not at
// all. catchUp ends the pauses.
type slowReader struct {
	watcher
	pause    time.Duration // length of the pause after each message
	hurry    chan struct{} // closed when the reader must stop pausing
	messages int           // number of messages that the reader has read so far
	caughtUp time.Duration // time from the end of the pauses until the reader had the true states
}

// startSlowReaders starts n slow readers, each on a connection of its own.
func (r *rig) startSlowReaders(n int, pause time.Duration) ([]*slowReader, error) {
	var all []*slowReader
	for range n {
		c, err := client.New(client.Config{Coordinator: r.coordinator.at})
		if err != nil {
			return nil, err
		}
		w := &slowReader{pause: pause, hurry: make(chan struct{})}
		w.view = map[health.ID]Seen{}
		ctx, stop := context.WithCancel(context.WithoutCancel(r.ctx))
		var wg sync.WaitGroup
		wg.Go(func() { w.run(ctx, c) })
		r.onClose(func() { stop(); wg.Wait(); _ = c.Close() })
		all = append(all, w)
	}
	return all, nil
}

// run reads messages until ctx ends. It reads the first snapshot without pauses, and then
// pauses after each message.
func (w *slowReader) run(ctx context.Context, c *client.Client) {
	known := false
	for u, err := range c.Watch(ctx, client.WatchOptions{}) {
		if err != nil {
			return
		}
		w.addUpdate(&u)
		w.mu.Lock()
		w.messages++
		w.mu.Unlock()
		if known = known || u.SnapshotEnd; known {
			w.pauseReading(ctx)
		}
	}
}

func (w *slowReader) pauseReading(ctx context.Context) {
	timer := time.NewTimer(w.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.hurry:
	case <-ctx.Done():
	}
}

// catchUp ends the pauses of the reader, and waits until the reader has the true states. before is
// the number of messages that the reader had read before the call. all is the number of messages
// that it has read when catchUp returns.
func (w *slowReader) catchUp(ctx context.Context, truths []Truth) (before, all int, err error) {
	began, count := time.Now(), func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.messages
	}
	before = count()
	close(w.hurry)
	err = w.waitFor(ctx, "a slow watcher has the true states", func(view map[health.ID]Seen) bool {
		n, _ := WrongEnds(truths, view)
		return n == 0
	})
	w.caughtUp = time.Since(began)
	return before, count(), err
}
