package xds

import (
	"slices"
	"strings"
	"time"
)

// catalog has all services that exist or that a client asks for, with their resources. It also knows
// which subscription wants which resource.
type catalog struct {
	certificates Certificates
	services     map[string]*service
	resources    [numKinds + 1][numRenderings]map[string]*resource
	// wildcards has the subscriptions to all resources of a kind.
	wildcards [numKinds][numRenderings]map[*subscription]struct{}
	// subscribed is the number of pairs of a subscription and a resource.
	subscribed int
	// bytes is an upper bound of the memory for what clients ask for.
	bytes int
	// settled is true once the clients that come from an earlier run of the coordinator are served.
	settled bool
	// complete is true once every registration of an earlier run has been renewed or has expired.
	complete bool
	// awake has the sessions that have something to send since the last takeAwake.
	awake []*session
}

func newCatalog(certificates Certificates) *catalog {
	c := &catalog{certificates: certificates, services: map[string]*service{}}
	for k := range c.resources {
		for r := range c.resources[k] {
			c.resources[k][r] = map[string]*resource{}
		}
	}
	for k := range c.wildcards {
		for r := range c.wildcards[k] {
			c.wildcards[k][r] = map[*subscription]struct{}{}
		}
	}
	return c
}

// service is a service that exists, or for whose resources a client asks.
type service struct {
	name   string
	exists bool
	// now is what clients get, or have got last if the service does not exist any more. It is nil if
	// the service has never existed.
	now *rendered
	// cached has contents that are rendered when a client asks for them first.
	cached [numKinds][numRenderings]*content
	// resources has the resources that have subscribers.
	resources []*resource
}

// resource is a resource under one name, for one rendering. It exists while it has subscribers. The
// fields other than at and subscribers never change.
type resource struct {
	kind      kind
	rendering Rendering
	name      string
	parsed    resourceName
	service   *service // nil if no service can have the name

	at          int // index in service.resources
	subscribers map[*subscription]struct{}
}

// canonical reports whether the name of the resource is the name of the service.
func (r *resource) canonical() bool { return r.service != nil && r.name == r.service.name }

// The memory for what a client asks for, in bytes. TestMemoryIsCounted compares it with what is used.
const (
	// subscriptionBytes is for one resource of one client: its entry, its place in the queue and two
	// in responses in flight.
	subscriptionBytes = 160
	// resourceBytes is for one resource without its name, and with a service that does not exist.
	resourceBytes = 640
)

// bytes returns an upper bound of the memory for a resource. The allocator rounds the size of a name up
// by an eighth at most. The authority and the service in an xdstp name are copies.
func (r *resource) bytes() int {
	name := len(r.name) + len(r.name)/8
	if strings.HasPrefix(r.name, xdstp) {
		name *= 2
	}
	return resourceBytes + name
}

// subscribe adds a subscription to a resource, and returns the resource.
func (c *catalog) subscribe(s *subscription, name string) *resource {
	r := c.resources[s.kind][s.rendering][name]
	if r == nil {
		r = &resource{kind: s.kind, rendering: s.rendering, name: strings.Clone(name), subscribers: map[*subscription]struct{}{}}
		c.resources[s.kind][s.rendering][r.name] = r
		c.link(r)
		c.bytes += r.bytes()
	}
	if _, is := r.subscribers[s]; !is {
		r.subscribers[s] = struct{}{}
		c.subscribed++
		c.bytes += subscriptionBytes
	}
	return r
}

// link connects a new resource with the service that its name names.
func (c *catalog) link(r *resource) {
	parsed, ok := parseName(r.kind, r.name)
	if !ok {
		return
	}
	r.parsed = parsed
	r.service = c.serviceNamed(parsed.service)
	r.at = len(r.service.resources)
	r.service.resources = append(r.service.resources, r)
}

func (c *catalog) serviceNamed(name string) *service {
	s := c.services[name]
	if s == nil {
		s = &service{name: name}
		c.services[name] = s
	}
	return s
}

// unsubscribe removes a subscription from a resource.
func (c *catalog) unsubscribe(s *subscription, r *resource) {
	delete(r.subscribers, s)
	c.subscribed--
	c.bytes -= subscriptionBytes
	if len(r.subscribers) > 0 {
		return
	}
	delete(c.resources[r.kind][r.rendering], r.name)
	c.bytes -= r.bytes()
	if s := r.service; s != nil {
		last := len(s.resources) - 1
		s.resources[r.at] = s.resources[last]
		s.resources[r.at].at = r.at
		s.resources[last] = nil
		s.resources = s.resources[:last]
		c.forget(s)
	}
}

// forget drops a service that does not exist and for which nobody asks.
func (c *catalog) forget(s *service) {
	if !s.exists && len(s.resources) == 0 {
		delete(c.services, s.name)
	}
}

// existing returns the names of the services that exist, sorted.
func (c *catalog) existing() []string {
	names := make([]string, 0, len(c.services))
	for name, s := range c.services {
		if s.exists {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// publish replaces what clients get of a service. next is nil if the service does not exist any more.
func (c *catalog) publish(name string, next *rendered) {
	s := c.serviceNamed(name)
	last, existed := s.now, s.exists
	s.exists = next != nil
	if s.exists {
		s.now = next
		if last == nil || !slices.Equal(last.tlsNames, next.tlsNames) {
			s.cached[clusters] = [numRenderings]*content{}
		}
	}
	if s.exists && !existed {
		c.addToWildcards(s)
	}
	for _, r := range s.resources {
		if s.exists != existed || changed(last, next, r) {
			c.mark(r)
		}
	}
	c.forget(s)
}

// changed reports whether the content of a resource may differ between two states of a service that
// exists.
func changed(last, next *rendered, r *resource) bool {
	switch r.kind {
	case endpointSets:
		return last.endpointSets[r.rendering] != next.endpointSets[r.rendering]
	case clusters:
		return !slices.Equal(last.tlsNames, next.tlsNames)
	}
	return false
}

// addToWildcards subscribes those that want all resources to those of a new service.
func (c *catalog) addToWildcards(s *service) {
	for k := range c.wildcards {
		for r := range c.wildcards[k] {
			for sub := range c.wildcards[k][r] {
				sub.include(c, s.name)
			}
		}
	}
}

func (c *catalog) mark(r *resource) {
	for sub := range r.subscribers {
		sub.mark(r)
	}
}

// takeAwake returns the sessions that have something to send.
func (c *catalog) takeAwake() []*session {
	all := c.awake
	c.awake = nil
	for _, s := range all {
		s.awake = false
	}
	return all
}

// contentFor returns what a client gets for a resource of a service, if the last version that it has is
// has. It returns nil if the resource does not exist. If the service does not exist any more, a client keeps
// what it has, and its endpoint set becomes empty. So the calls of gRPC can wait for the service.
func (c *catalog) contentFor(r *resource, has version) *content {
	s := r.service
	switch {
	case !s.exists && !has.real():
		return nil
	case s.exists && r.kind == endpointSets:
		return s.now.endpointSets[r.rendering]
	case s.now == nil && r.kind != endpointSets:
		return nil
	}
	cached := &s.cached[r.kind][r.rendering]
	if *cached == nil {
		head := head(r.kind, s.name, resourceName{service: s.name}, r.rendering, s.now, &c.certificates)
		*cached = newContent(r.kind, s.name, head, nil, time.Time{})
	}
	return *cached
}

// head encodes a resource. Of an endpoint set it encodes only the name.
func head(k kind, name string, parsed resourceName, r Rendering, now *rendered, certificates *Certificates) []byte {
	switch k {
	case listeners:
		return marshal(newListener(name, parsed))
	case routes:
		return marshal(newRoutes(name, parsed))
	case clusters:
		return marshal(newCluster(name, parsed, r, now.tlsNames, certificates))
	}
	return endpointSetHead(name)
}
