package resolver

import (
	"errors"
	"fmt"
	"slices"

	"github.com/meshhealth/meshhealth/internal/routing"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxUnused is the number of services without a channel whose instances a Resolver keeps.
const maxUnused = 128

// followed is a service that channels use or have used. Its owner's mu guards all fields.
type followed struct {
	known
	owner    *Resolver
	channels map[*channel]bool
	watch    *watch // nil without channels
	// synced reports that the Watch has sent all instances since the service has got a channel.
	synced bool
	view   *view // nil until something is known since the service has got a channel
	logged problemKind
}

// view is what channels get of a service. It is immutable.
type view struct {
	endpoints []routing.Endpoint
	problem   error // why no endpoint can be used; not nil if there is none
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
func (r *Resolver) join(c *channel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.services[c.service]
	if f == nil {
		f = &followed{known: known{service: c.service, instances: map[string]*instance{}}, owner: r, channels: map[*channel]bool{}}
		r.services[c.service] = f
	}
	c.followed = f
	f.channels[c] = true
	if f.watch == nil {
		f.synced, f.view = false, nil
		r.watchFor(f)
	}
	c.notify()
	go c.run()
}

// watchFor adds a service to a Watch with room, or starts another one. The caller must hold r.mu.
func (r *Resolver) watchFor(f *followed) {
	for _, w := range r.watches {
		if len(w.services) < wire.MaxNames {
			w.add(f)
			return
		}
	}
	w := newWatch(r)
	r.watches = append(r.watches, w)
	w.add(f)
	go w.run()
}

// leave removes a channel from its service. If it was the last channel of a Watch, leave waits for the
// end of the Watch.
func (r *Resolver) leave(c *channel) {
	if w := r.remove(c); w != nil {
		w.end()
		<-w.done
	}
}

// remove removes a channel, and returns the Watch that has no channel any more, or nil.
func (r *Resolver) remove(c *channel) *watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := c.followed
	delete(f.channels, c)
	if len(f.channels) > 0 {
		return nil
	}
	w := f.watch
	f.watch = nil
	delete(w.services, f.service) // the Watch goes on to send the service, until it is opened again
	r.evict(f)
	if len(w.services) > 0 {
		return nil
	}
	r.watches = slices.DeleteFunc(r.watches, func(other *watch) bool { return other == w })
	return w
}

// evict forgets services without a channel: f if nothing is known of it, and others if there are too
// many.
func (r *Resolver) evict(f *followed) {
	if len(f.instances) == 0 {
		delete(r.services, f.service)
		return
	}
	var unused []string
	for name, other := range r.services {
		if other.watch == nil {
			unused = append(unused, name)
		}
	}
	if len(unused) > maxUnused {
		delete(r.services, unused[0])
	}
}
