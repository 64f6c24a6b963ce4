package resolver

import (
	"context"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// refusedPause is the time after which a Watch is opened again that the coordinator has refused.
const refusedPause = 10 * time.Second

// watch is a Watch of the coordinator for up to wire.MaxNames services. The mu of the Resolver guards
// the fields without a comment.
type watch struct {
	r    *Resolver
	ctx  context.Context // ends with the last service
	end  context.CancelFunc
	done chan struct{} // closed at the end of the goroutine

	services map[string]*followed
	// restart ends the present stream, so that the next one includes all services.
	restart context.CancelFunc
	// asked has the services of the present stream.
	asked map[string]bool
	// seen has the instances of the present snapshot.
	seen map[health.ID]bool
	away bool // the coordinator does not answer, and this was logged
}

func newWatch(r *Resolver) *watch {
	w := &watch{r: r, done: make(chan struct{}), services: map[string]*followed{}, restart: func() {}}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

// add adds a service, and opens the stream again for it. The caller must hold r.mu.
func (w *watch) add(f *followed) {
	f.watch = w
	w.services[f.service] = f
	w.restart()
}

// run opens one stream after another until the Watch ends.
func (w *watch) run() {
	defer close(w.done)
	for w.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(w.ctx)
		if err := w.receive(ctx, w.begin(cancel)); ctx.Err() == nil {
			w.r.write(w.update(ctx, &client.Update{Stale: true, Err: err}))
			pause(ctx, refusedPause)
		}
		cancel()
	}
}

// begin returns the services of the next stream. cancel ends this stream.
func (w *watch) begin(cancel context.CancelFunc) []string {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.restart = cancel
	w.asked, w.seen = map[string]bool{}, map[health.ID]bool{}
	var services []string
	for name := range w.services {
		w.asked[name] = true
		services = append(services, name)
	}
	return services
}

// receive receives until ctx ends or the coordinator refuses the request.
func (w *watch) receive(ctx context.Context, services []string) error {
	if len(services) == 0 {
		<-ctx.Done() // the Watch is about to end
		return nil
	}
	for u, err := range w.r.client.Watch(ctx, client.WatchOptions{Services: services}) {
		if err != nil {
			return err
		}
		w.r.write(w.update(ctx, &u))
	}
	return nil
}

// update applies an update, and returns what is to be logged. It does nothing if the stream has ended.
func (w *watch) update(ctx context.Context, u *client.Update) []note {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	notes := w.noteAway(u)
	if u.Stale {
		w.seen = map[health.ID]bool{}
		return append(notes, w.outage(u.Err)...)
	}
	changed := w.apply(u)
	for f := range changed {
		if f.synced {
			notes = append(notes, f.publish(nil)...)
		}
	}
	return notes
}

// outage tells the services that wait for the coordinator that it does not answer.
func (w *watch) outage(err error) (notes []note) {
	for _, f := range w.services {
		if !f.synced {
			notes = append(notes, f.publish(err)...)
		}
	}
	return notes
}

// apply changes what is known, and returns the services that have changed.
func (w *watch) apply(u *client.Update) map[*followed]bool {
	changed := map[*followed]bool{}
	if u.Gap {
		w.seen = map[health.ID]bool{}
	}
	for _, e := range u.Entries {
		f := w.services[e.ID.Service]
		if f == nil {
			continue
		}
		f.apply(e, u.Epoch)
		changed[f] = true
		if u.Snapshot {
			w.seen[e.ID] = true
		}
	}
	for _, f := range w.services {
		if u.SnapshotEnd && w.asked[f.service] {
			f.endSnapshot(w.seen, u.Epoch, u.Received)
			f.synced = true
			changed[f] = true
		}
		if f.expire(u.Received) {
			changed[f] = true
		}
	}
	if u.SnapshotEnd {
		w.seen = map[health.ID]bool{}
	}
	return changed
}

// pause waits for a time or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
