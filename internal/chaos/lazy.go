package chaos

import (
	"context"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// lazyWatcher reads slowly, or not at all, until it is told to make haste.
type lazyWatcher struct {
	watcher
	pause    time.Duration // after each message
	haste    chan struct{}
	messages int
	caughtUp time.Duration
}

// lazyWatchers start n watchers, each on a connection of its own.
func (r *rig) lazyWatchers(n int, pause time.Duration) ([]*lazyWatcher, error) {
	var all []*lazyWatcher
	for range n {
		c, err := client.New(client.Config{Coordinator: r.coordinator.at})
		if err != nil {
			return nil, err
		}
		w := &lazyWatcher{pause: pause, haste: make(chan struct{})}
		w.view = map[health.ID]Seen{}
		ctx, stop := context.WithCancel(context.WithoutCancel(r.ctx))
		var wg sync.WaitGroup
		wg.Go(func() { w.run(ctx, c) })
		r.later(func() { stop(); wg.Wait(); _ = c.Close() })
		all = append(all, w)
	}
	return all, nil
}

// run reads a snapshot like anybody, and then slowly.
func (w *lazyWatcher) run(ctx context.Context, c *client.Client) {
	known := false
	for u, err := range c.Watch(ctx, client.WatchOptions{}) {
		if err != nil {
			return
		}
		w.take(&u)
		w.mu.Lock()
		w.messages++
		w.mu.Unlock()
		if known = known || u.SnapshotEnd; known {
			w.dawdle(ctx)
		}
	}
}

func (w *lazyWatcher) dawdle(ctx context.Context) {
	timer := time.NewTimer(w.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.haste:
	case <-ctx.Done():
	}
}

// catchUp makes haste, and waits until the watcher knows the truth. It returns
// how many messages it has read before and in all.
func (w *lazyWatcher) catchUp(ctx context.Context, truths []Truth) (before, all int, err error) {
	began, count := time.Now(), func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.messages
	}
	before = count()
	close(w.haste)
	err = w.until(ctx, "a slow watcher ends right", func(view map[health.ID]Seen) bool {
		n, _ := Astray(truths, view)
		return n == 0
	})
	w.caughtUp = time.Since(began)
	return before, count(), err
}
