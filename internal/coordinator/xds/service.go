package xds

import (
	"cmp"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/internal/routing"
)

// Endpoint is an instance of a service as it is routed.
type Endpoint struct {
	routing.Endpoint
	// TLSNames are the names of which the certificate of the instance has one. It is empty if the
	// instance speaks no TLS. Clients get the names of all instances of a service that are rendered. If only some
	// instances speak TLS, clients use TLS for all.
	TLSNames []string
}

// Change says that an instance is new, has changed or is no longer registered.
type Change struct {
	Service string
	// Endpoint has the instance as it is now. If Gone is set, only the field Instance counts.
	Endpoint Endpoint
	// Gone means that the instance is no longer registered. A service exists while an instance of it
	// is registered, even if no instance is rendered.
	Gone bool
}

// source has the instances of one service, in the order of their names. The three slices have the
// same length.
type source struct {
	endpoints []routing.Endpoint
	encoded   []encodedEndpoint
	tlsNames  [][]string
	last      *rendered // what clients get at present; nil before the first render
}

// find returns the index of an instance, or the index at which it would be inserted.
func (s *source) find(instance string) (at int, found bool) {
	return slices.BinarySearchFunc(s.endpoints, instance, func(e routing.Endpoint, name string) int {
		return cmp.Compare(e.Instance, name)
	})
}

// apply applies a change. It returns false if nothing that clients get has changed.
func (s *source) apply(c *Change) bool {
	at, found := s.find(c.Endpoint.Instance)
	switch {
	case c.Gone && !found:
		return false
	case c.Gone:
		s.endpoints = slices.Delete(s.endpoints, at, at+1)
		s.encoded = slices.Delete(s.encoded, at, at+1)
		s.tlsNames = slices.Delete(s.tlsNames, at, at+1)
		return true
	case !found:
		s.endpoints = slices.Insert(s.endpoints, at, routing.Endpoint{})
		s.encoded = slices.Insert(s.encoded, at, encodedEndpoint{})
		s.tlsNames = slices.Insert(s.tlsNames, at, nil)
	case s.endpoints[at] == c.Endpoint.Endpoint && slices.Equal(s.tlsNames[at], c.Endpoint.TLSNames):
		return false
	}
	s.endpoints[at], s.tlsNames[at] = c.Endpoint.Endpoint, c.Endpoint.TLSNames
	s.encoded[at] = encodeEndpoint(&s.endpoints[at])
	return true
}

// rendered is what clients get of a service that exists. It is immutable.
type rendered struct {
	tlsNames     []string // sorted
	endpointSets [numRenderings]*content
}

// render renders the service. It takes over the parts of s.last that are equal.
func (s *source) render(service string, now time.Time) *rendered {
	last := s.last
	next := &rendered{tlsNames: s.allTLSNames()}
	spillOver, plain := routing.Both(s.endpoints)
	for r, localities := range [numRenderings][]routing.Locality{SpillOver: spillOver, Plain: plain} {
		body := endpointSetBody(localities, s.encoded, Rendering(r))
		next.endpointSets[r] = newContent(endpointSets, service, endpointSetHead(service), body, now)
		if last != nil && last.endpointSets[r].version == next.endpointSets[r].version {
			next.endpointSets[r] = last.endpointSets[r]
		}
	}
	s.last = next
	return next
}

// allTLSNames returns the names of all instances that a client may get, sorted. It is empty if none of
// them speaks TLS.
func (s *source) allTLSNames() []string {
	var all []string
	var last []string
	for i, names := range s.tlsNames {
		if _, is := healthOf[s.endpoints[i].Route]; is && !slices.Equal(names, last) {
			all = append(all, names...)
			last = names
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
