package api

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// maxObservations is the largest number of observations of one learner, and of its callers. An observation
	// needs about 400 bytes.
	maxObservations = 50_000
	// maxUnresolved is the largest number of instances of which a learner waits for the address of the host.
	maxUnresolved = 1000
)

// learner observes what callers use of their rights, while a LearnAccess stream is open. It observes only what the
// access policy allows, and only names that exist. So nobody can fill it with names that do not.
//
// A unary call tells the learner at its end. A stream leaves a function with noteStream, which the learner calls
// again and again. So streams that were open before are observed too.
type learner struct {
	cfg      *Config
	networks []netip.Prefix // an address in one of them is observed as this network

	mu          sync.Mutex
	set         access.Observations
	registrants map[string]bool // identities that register instances
	unresolved  map[health.ID]registration
}

// registration is what is needed to observe a registration again.
type registration struct {
	rights *access.Rights
	peer   netip.Addr
}

func newLearner(cfg *Config, networks []netip.Prefix) *learner {
	return &learner{
		cfg: cfg, networks: networks, set: access.Observations{Limit: maxObservations},
		registrants: map[string]bool{}, unresolved: map[health.ID]registration{},
	}
}

// learning returns the learner to which calls tell what they use, or nil if nobody learns.
func (a *Access) learning() *learner { return a.learner.Load() }

// use notes an observation.
func (l *learner) use(rights *access.Rights, o access.Observation) {
	o.Identity = rights.Identity()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set.Add(o)
	l.set.AddInstances(o.Identity, 0)
}

// exists reports whether the mesh has the service of a name.
func (l *learner) exists(name access.Name) bool {
	service := name.Service()
	if service == health.MeshName {
		return true
	}
	_, ok := l.cfg.Feed.Get(health.ID{Service: service})
	return ok
}

// read notes that a name was read with a detail.
func (l *learner) read(rights *access.Rights, name access.Name, detail access.Detail) {
	if rights.Detail(name) >= detail && l.exists(name) {
		l.use(rights, access.Observation{Verb: access.VerbRead, Service: name.Service(), Detail: detail})
	}
}

// readAll notes that everything was read that may be read with a detail.
func (l *learner) readAll(rights *access.Rights, detail access.Detail) {
	if rights.Detail(access.Everything) >= detail {
		l.read(rights, access.Everything, detail)
		return
	}
	for e := range l.cfg.Feed.Cut().Aggregates() {
		if e.ID != (health.ID{}) {
			l.read(rights, access.Of(e.ID), detail)
		}
	}
}

// allowed notes that a verb other than VerbRead and VerbRegister was used on a name.
func (l *learner) allowed(rights *access.Rights, o access.Observation, name access.Name) {
	if _, ok := rights.Allows(o.Verb, name); ok {
		o.Service = name.Service()
		l.use(rights, o)
	}
}

// route notes that the addresses of a service were read. A caller that reads evidence sees them too.
func (l *learner) route(rights *access.Rights, name access.Name) {
	if _, ok := rights.Allows(access.VerbRoute, name); !ok {
		l.read(rights, name, access.Evidence)
	} else if l.exists(name) {
		l.use(rights, access.Observation{Verb: access.VerbRoute, Service: name.Service()})
	}
}

// reading notes what a call of one of the health services reads.
func (l *learner) reading(rights *access.Rights, r *grpchealth.Reading) {
	switch {
	case r.One != health.ID{}:
		l.read(rights, access.Of(r.One), access.Status)
	case len(r.Names) > 0:
		for _, id := range r.Names {
			if id != (health.ID{}) {
				l.read(rights, access.Of(id), access.Status)
			}
		}
	case len(r.Services) > 0:
		for _, service := range r.Services {
			name := access.Of(health.ID{Service: service})
			if service == "" {
				continue
			}
			l.read(rights, name, access.Status)
			if r.Addresses {
				l.route(rights, name)
			}
		}
	default:
		l.readAll(rights, access.Status)
	}
}

// registered notes that a caller has registered an instance, or has renewed or removed its registration. peer is
// the address of the caller.
func (l *learner) registered(rights *access.Rights, id health.ID, spec *health.Spec, peer netip.Addr) {
	if spec.Registrant == rights.Identity() && spec.Peer.IsValid() {
		peer = spec.Peer // a caller may have several addresses
	}
	for _, address := range []string{spec.Address, spec.Traffic.Address} {
		host, text, err := net.SplitHostPort(address)
		port, portErr := strconv.ParseUint(text, 10, 16)
		if err != nil || portErr != nil {
			continue // there is no address for traffic
		}
		ip, _ := netip.ParseAddr(host) // not valid for the name of a host
		at := access.Endpoint{IP: ip.Unmap(), Port: uint16(port), Peer: peer}
		place := access.Place{Port: at.Port}
		switch {
		case !ip.IsValid():
			place.Host = host
			if found, ok := l.resolved(id, spec); ok {
				at.IP, at.Peer = found, netip.Addr{}
				place.Network = l.networkOf(found)
			}
		case at.IP == peer:
			place.Peer = true
		default:
			place.Network = l.networkOf(at.IP)
		}
		_, placed := rights.MayRegister(access.Of(id), at)
		if placed == access.NotPlaced {
			continue
		}
		place.Proven = place.Network.IsValid() && placed == access.PlacedIfProven
		l.use(rights, access.Observation{Verb: access.VerbRegister, Service: id.Service, Place: place})
		l.noteRegistrant(rights, id, peer, !place.Peer && !place.Network.IsValid())
	}
}

// noteRegistrant notes that a caller registers instances. If wait is true, the instance is observed again, because
// the address of its host is not known.
func (l *learner) noteRegistrant(rights *access.Rights, id health.ID, peer netip.Addr, wait bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.registrants) < maxObservations {
		l.registrants[rights.Identity()] = true
	}
	if !wait {
		delete(l.unresolved, id)
	} else if len(l.unresolved) < maxUnresolved {
		l.unresolved[id] = registration{rights, peer}
	}
}

// deregistered notes that a caller has removed a registration. Whoever has the lease or has registered the
// instance needs no right to admin.
func (l *learner) deregistered(rights *access.Rights, id health.ID, spec *health.Spec, by wire.Registrant, lease uint64) {
	own := lease != 0 || spec.Registrant != "" && spec.Registrant == by.Identity
	if own && rights.Check(access.VerbRegister, access.Of(id)) == nil {
		l.registered(rights, id, spec, by.Peer)
		return
	}
	l.use(rights, access.Observation{Verb: access.VerbAdmin})
}

// networkOf returns the narrowest given network with an address. If there is none, it is the address itself.
func (l *learner) networkOf(ip netip.Addr) netip.Prefix {
	best := netip.PrefixFrom(ip, ip.BitLen())
	found := false
	for _, n := range l.networks {
		if n.Contains(ip) && (!found || n.Bits() > best.Bits()) {
			best, found = n, true
		}
	}
	return best
}

// resolved returns the address to which the host of an instance was resolved. ok is false if it is not known.
func (l *learner) resolved(id health.ID, spec *health.Spec) (ip netip.Addr, ok bool) {
	e, ok := l.cfg.Feed.Get(id)
	if !ok || !e.Endpoint.IsValid() {
		return netip.Addr{}, false
	}
	host, _, _ := net.SplitHostPort(spec.Address)
	if traffic, _, err := net.SplitHostPort(spec.Traffic.Address); err == nil && traffic != host {
		return netip.Addr{}, false // the endpoint is another host
	}
	return e.Endpoint.Addr().Unmap(), true
}

// reported notes that a caller reports for an instance. If the caller has registered it, this needs no other right.
func (l *learner) reported(rights *access.Rights, id health.ID, peer netip.Addr) {
	if e, ok := l.cfg.Feed.Get(id); ok && e.Spec != nil && e.Spec.Registrant == rights.Identity() && rights.Check(access.VerbRegister, access.Of(id)) == nil {
		l.registered(rights, id, e.Spec, peer)
		return
	}
	l.allowed(rights, access.Observation{Verb: access.VerbReport}, access.Of(id))
}

// again observes what may have changed since the last call: open streams, addresses of hosts and numbers of
// instances.
func (l *learner) again() {
	for _, g := range l.cfg.Access.open() {
		if note := g.note.Load(); note != nil {
			(*note)(l)
		}
	}
	l.mu.Lock()
	waiting := l.unresolved
	l.unresolved = map[health.ID]registration{}
	l.mu.Unlock()
	for id, r := range waiting {
		if e, ok := l.cfg.Feed.Get(id); ok && e.Spec != nil {
			l.registered(r.rights, id, e.Spec, r.peer)
		}
	}
	counts := map[string]int{}
	for e := range l.cfg.Feed.Cut().Of() {
		if e.Spec != nil && !e.Spec.Configured {
			counts[e.Spec.Registrant]++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for identity := range l.registrants {
		l.set.AddInstances(identity, counts[identity])
	}
}

// streamKey is the key of a *guardedStream in the context of its call.
type streamKey struct{}

// noteStream tells the learner what a stream uses. note is also called by learners that begin while the stream is
// open, at any time and concurrently.
func (a *Access) noteStream(ctx context.Context, note func(*learner)) {
	if g, ok := ctx.Value(streamKey{}).(*guardedStream); ok {
		g.note.Store(&note) // before learning is called, so that a learner that begins now sees it
	}
	if l := a.learning(); l != nil {
		note(l)
	}
}

// noteReading tells the learner what a call of one of the health services reads.
func (c *Config) noteReading(ctx context.Context, r grpchealth.Reading) {
	if r.Stays {
		rights, kept := c.Access.Rights(ctx), r // only a stream needs memory for it
		c.Access.noteStream(ctx, func(l *learner) { l.reading(rights, &kept) })
	} else if l := c.Access.learning(); l != nil {
		l.reading(c.Access.Rights(ctx), &r)
	}
}
