package resolver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/logs"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxUnused is the number of services without a channel whose instances a hub keeps.
const maxUnused = 128

// hub connects the channels of a Resolver with the coordinator.
type hub struct {
	client *client.Client
	log    *logs.Logger

	mu sync.Mutex
	// services has the services of all channels. It also has up to maxUnused services without a
	// channel, so that a channel that was idle knows the last instances.
	services map[string]*followed
	watches  []*watch
}

// followed is a service that channels use or have used. Its owner's mu guards all fields.
type followed struct {
	known
	owner    *hub
	channels map[*channel]bool
	watch    *watch // nil without channels
	// synced reports that the Watch has sent all instances since the service has got a channel.
	synced bool
	view   *view // nil until something is known since the service has got a channel
	logged problemKind
}

// latest returns the view, or nil if there is none yet.
func (f *followed) latest() *view {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	return f.view
}

// publish makes a view of what is known, and wakes the channels. outage is the reason why nothing
// more is known, or nil. It returns what is to be logged.
func (f *followed) publish(outage error) []note {
	kind, problem := f.problem()
	if outage != nil && !f.synced {
		// The error does not wrap outage: gRPC would end calls with the status of the coordinator, even
		// calls that wait for ready.
		problem = fmt.Errorf("%s: no answer from the coordinator: %v", f.service, outage)
	}
	if problem == nil {
		problem = errNoEndpoint
	}
	f.view = &view{f.endpoints(), problem}
	for c := range f.channels {
		c.notify()
	}
	if !f.synced || kind == f.logged {
		return nil
	}
	f.logged = kind
	return []note{noteOf(f.service, kind, problem)}
}

var errNoEndpoint = errors.New("no instance has a valid address")

// join adds a channel to its service, and starts the goroutine of the channel.
func (h *hub) join(c *channel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.services[c.service]
	if f == nil {
		f = &followed{known: known{service: c.service, instances: map[string]*instance{}}, owner: h, channels: map[*channel]bool{}}
		h.services[c.service] = f
	}
	c.latest, c.leave = f.latest, func() { h.leave(c, f) }
	f.channels[c] = true
	if f.watch == nil {
		f.synced, f.view = false, nil
		h.watchFor(f)
	}
	c.notify()
	go c.run()
}

// watchFor adds a service to a Watch with room, or starts another one. The caller must hold h.mu.
func (h *hub) watchFor(f *followed) {
	for _, w := range h.watches {
		if len(w.services) < wire.MaxNames {
			w.add(f)
			return
		}
	}
	w := newWatch(h)
	h.watches = append(h.watches, w)
	w.add(f)
	go w.run()
}

// leave removes a channel from its service. If it was the last channel of a Watch, leave waits for the
// end of the Watch.
func (h *hub) leave(c *channel, f *followed) {
	if w := h.remove(c, f); w != nil {
		w.end()
		<-w.done
	}
}

// remove removes a channel, and returns the Watch that has no channel any more, or nil.
func (h *hub) remove(c *channel, f *followed) *watch {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(f.channels, c)
	if len(f.channels) > 0 {
		return nil
	}
	w := f.watch
	f.watch = nil
	delete(w.services, f.service) // the Watch goes on to send the service, until it is opened again
	h.evict(f)
	if len(w.services) > 0 {
		return nil
	}
	h.watches = slices.DeleteFunc(h.watches, func(other *watch) bool { return other == w })
	return w
}

// evict forgets services without a channel: f if nothing is known of it, and others if there are too
// many.
func (h *hub) evict(f *followed) {
	if len(f.instances) == 0 {
		delete(h.services, f.service)
		return
	}
	var unused []string
	for name, other := range h.services {
		if other.watch == nil {
			unused = append(unused, name)
		}
	}
	if len(unused) > maxUnused {
		delete(h.services, unused[0])
	}
}

// refusedPause is the time after which a Watch is opened again that the coordinator has refused.
const refusedPause = 10 * time.Second

// watch is a Watch of the coordinator for up to wire.MaxNames services. The mu of the hub guards
// the fields without a comment.
type watch struct {
	h    *hub
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

func newWatch(h *hub) *watch {
	w := &watch{h: h, done: make(chan struct{}), services: map[string]*followed{}, restart: func() {}}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

// add adds a service, and opens the stream again for it. The caller must hold h.mu.
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
			w.h.write(w.update(ctx, &client.Update{Stale: true, Err: err}))
			pause(ctx, refusedPause)
		}
		cancel()
	}
}

// begin returns the services of the next stream. cancel ends this stream.
func (w *watch) begin(cancel context.CancelFunc) []string {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
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
	for u, err := range w.h.client.Watch(ctx, client.WatchOptions{Services: services}) {
		if err != nil {
			return err
		}
		w.h.write(w.update(ctx, &u))
	}
	return nil
}

// update applies an update, and returns what is to be logged. It does nothing if the stream has ended.
func (w *watch) update(ctx context.Context, u *client.Update) []note {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
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

// noteAway returns a note if the coordinator does not answer any more, or answers again. The caller
// must hold h.mu.
func (w *watch) noteAway(u *client.Update) []note {
	if u.Stale == w.away {
		return nil
	}
	w.away = u.Stale
	if u.Stale {
		return []note{{slog.LevelWarn, "resolver: the coordinator does not answer; channels keep the last known instances", []any{"err", u.Err}}}
	}
	return []note{{slog.LevelInfo, "resolver: the coordinator answers again", nil}}
}

// write logs notes. The caller must not hold h.mu.
func (h *hub) write(notes []note) {
	for _, n := range notes {
		h.log.Log(context.Background(), n.level, n.text, n.attrs...)
	}
}
