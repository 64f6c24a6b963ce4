package xds

import (
	"slices"
	"strings"
)

// entry is the state of one resource in a subscription: the version that was sent last, and flags.
// It is one number, because a client may have 10,000 of them.
type entry uint64

// The flags of an entry.
const (
	// marked means that the resource is in the queue of the subscription.
	marked entry = 1 << iota
	// byName means that the client named the resource.
	byName
	// byWildcard means that the client asks for all resources.
	byWildcard

	flags = marked | byName | byWildcard
)

func (e entry) sent() version                { return version(e &^ flags) }
func (e entry) withSent(v version) entry     { return e&flags | entry(v) }
func (e entry) has(f entry) bool             { return e&f != 0 }
func (e entry) wantedOtherwise(f entry) bool { return e&(byName|byWildcard)&^f != 0 }

// subscription is what one stream wants of one type of resources.
type subscription struct {
	session   *session
	url       string
	kind      kind
	rendering Rendering

	entries map[*resource]entry
	// most is the largest number of entries since the map was made. dropped is true if an entry was
	// removed since the last forgetDropped.
	most    int
	dropped bool
	// queue has the marked resources, the oldest mark first. A resource whose entry has no mark any
	// more is to be ignored.
	queue    []*resource
	wildcard bool
	// named is true once the client has named a resource. Before that, a request without names asks
	// for all resources.
	named bool
	// names is a hash of the names in the last request with the state of the world.
	names uint64
	// resumed means that the client has resources from an earlier stream.
	resumed bool
	// answer means that a response is due, even if it has no resource.
	answer bool

	nonce string // nonce of the last response
	acknowledgements
}

func newSubscription(s *session, url string) *subscription {
	return &subscription{session: s, url: url, kind: kindOf(url), rendering: s.rendering, entries: map[*resource]entry{}}
}

// mark puts a resource into the queue, and wakes the session.
func (s *subscription) mark(r *resource) {
	e := s.entries[r]
	if !e.has(marked) {
		s.entries[r] = e | marked
		s.queue = append(s.queue, r)
		if len(s.queue) > 2*len(s.entries)+64 {
			s.compactQueue()
		}
	}
	s.session.wake()
}

// compactQueue removes what is to be ignored from the queue. Otherwise the queue of a client that
// does not read would grow with each name that the client adds and drops.
func (s *subscription) compactQueue() { s.queue = s.marked() }

// marked returns the marked resources in the order of the queue, each once.
func (s *subscription) marked() []*resource {
	all := make([]*resource, 0, len(s.queue))
	for _, r := range s.queue {
		if e := s.entries[r]; e.has(marked) {
			s.entries[r] = e &^ marked // so that a second place in the queue is ignored
			all = append(all, r)
		}
	}
	for _, r := range all {
		s.entries[r] |= marked
	}
	return all
}

// again marks a resource so that it is sent even if the client has its current version.
func (s *subscription) again(r *resource) {
	e := s.entries[r]
	if e.sent().real() {
		s.entries[r] = e.withSent(unknownVersion)
	} else {
		s.entries[r] = e.withSent(neverSent)
	}
	s.mark(r)
}

// drop ends the subscription to a resource by its name or by the wildcard. If the client wants it in
// the other way too, it stays.
func (s *subscription) drop(c *catalog, r *resource, how entry) {
	e := s.entries[r]
	if e.wantedOtherwise(how) {
		s.entries[r] = e &^ how
		return
	}
	delete(s.entries, r)
	delete(s.rejected, r)
	s.dropped = true
	s.session.names--
	s.session.nameBytes -= len(r.name)
	c.unsubscribe(s, r)
}

// subscribe subscribes to a resource, by its name or by the wildcard, and marks it. before is its
// entry until now.
func (s *subscription) subscribe(c *catalog, name string, how entry) (r *resource, before entry) {
	r = c.subscribe(s, name)
	before, is := s.entries[r]
	if !is {
		s.session.names++
		s.session.nameBytes += len(r.name)
	}
	s.entries[r] = before | how
	s.most = max(s.most, len(s.entries))
	s.mark(r)
	return r, before
}

// startWildcard subscribes to all resources. No listener is part of a wildcard: only Envoy asks for
// all listeners, and it refuses those that are for gRPC clients.
func (s *subscription) startWildcard(c *catalog) {
	if s.wildcard {
		return
	}
	s.wildcard, s.answer = true, true
	s.session.wake()
	if s.kind == listeners || s.kind == unknownKind {
		return
	}
	c.wildcards[s.kind][s.rendering][s] = struct{}{}
	for _, name := range c.existing() {
		s.include(c, name)
	}
}

// include subscribes to a resource as one of all, if the client may see its service.
func (s *subscription) include(c *catalog, service string) {
	if s.session.may(service) {
		s.subscribe(c, service, byWildcard)
	}
}

// endWildcard ends the subscription to all resources, except those that the client named.
func (s *subscription) endWildcard(c *catalog) {
	if !s.wildcard {
		return
	}
	s.leaveWildcard(c)
	for r, e := range s.entries {
		if e.has(byWildcard) {
			s.drop(c, r, byWildcard)
		}
	}
}

func (s *subscription) leaveWildcard(c *catalog) {
	s.wildcard = false
	if s.kind != unknownKind {
		delete(c.wildcards[s.kind][s.rendering], s)
	}
}

// end removes the subscription from the catalog.
func (s *subscription) end(c *catalog) {
	s.leaveWildcard(c)
	for r := range s.entries {
		c.unsubscribe(s, r)
	}
	s.entries, s.queue = nil, nil
}

// take removes the next resource that must be sent from the queue, with its content. The content is
// nil if the client must be told that the resource does not exist. ok is false if the queue is empty.
func (s *subscription) take(c *catalog) (r *resource, now *content, ok bool) {
	for len(s.queue) > 0 {
		r, s.queue = s.queue[0], s.queue[1:]
		e := s.entries[r]
		if !e.has(marked) {
			continue
		}
		s.entries[r] = e &^ marked
		if s.holds(c, r) {
			continue // it is marked again when the service exists or the catalog is complete
		}
		if now, ok = s.due(c, r); ok {
			return r, now, true
		}
	}
	s.queue = nil
	return nil, nil, false
}

// holds reports whether the client keeps what it has of a resource from an earlier run, because the
// service may still register again.
func (s *subscription) holds(c *catalog, r *resource) bool {
	return s.resumed && !c.complete && r.service != nil && r.service.now == nil && s.entries[r].sent().real()
}

// holdsAll reports whether nothing can be sent, because a response without a held resource would
// remove it from the client. The names that a client has from a wildcard are not known.
func (s *subscription) holdsAll(c *catalog) bool {
	if !s.resumed || c.complete || s.session.delta || !s.kind.full() {
		return false
	}
	if s.wildcard {
		return true
	}
	for r := range s.entries {
		if s.holds(c, r) {
			return true
		}
	}
	return false
}

// due returns the content of a resource. ok is false if the client has it already.
func (s *subscription) due(c *catalog, r *resource) (now *content, ok bool) {
	sent := s.entries[r].sent()
	now = s.contentOf(c, r)
	if now == nil {
		return nil, sent != sentAbsent
	}
	return now, now.version != sent
}

// contentOf returns what the client gets for a resource. It returns nil if the resource does not exist
// for the client. A resource that the client has not named exists only as part of the wildcard. The
// exception is an endpoint set with the state of the world, which cannot be removed.
func (s *subscription) contentOf(c *catalog, r *resource) *content {
	if r.service == nil || !s.session.may(r.service.name) {
		return nil
	}
	e := s.entries[r]
	if !e.has(byName) {
		removable := s.session.delta || s.kind.full()
		if !s.inWildcard(r) || removable && !r.service.exists {
			return nil
		}
	}
	return c.contentFor(r, e.sent())
}

func (s *subscription) inWildcard(r *resource) bool { return r.canonical() && s.kind != listeners }

// noteSent notes what the client gets of a resource, and returns what it had.
func (s *subscription) noteSent(c *catalog, r *resource, now *content) (before version) {
	e := s.entries[r]
	before = e.sent()
	v := sentAbsent
	if now != nil {
		v = now.version
	}
	s.entries[r] = e.withSent(v)
	if !e.has(byName) && (now == nil || !r.service.exists) {
		s.drop(c, r, byWildcard) // the resource is not part of the wildcard any more
	}
	return before
}

// sorted returns the resources of the subscription in the order of their names.
func (s *subscription) sorted() []*resource {
	all := make([]*resource, 0, len(s.entries))
	for r := range s.entries {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *resource) int { return strings.Compare(a.name, b.name) })
	return all
}
