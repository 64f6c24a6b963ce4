package xds

import (
	"maps"
	"slices"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// handleDelta applies a request of the delta protocol. A wrong nonce has no effect: the names in the
// request count in any case.
func (s *session) handleDelta(now time.Time, req *discoverypb.DeltaDiscoveryRequest) (verdict, error) {
	subscribe, unsubscribe := req.GetResourceNamesSubscribe(), req.GetResourceNamesUnsubscribe()
	if err := s.checkDelta(req); err != nil {
		return verdict{}, err
	}
	sub, first, err := s.subscriptionTo(req.GetTypeUrl())
	if err != nil {
		return verdict{}, err
	}
	v := s.keep(sub.receive(now, req.GetResponseNonce(), reasonOf(req.GetErrorDetail())))
	if first && len(subscribe) == 0 && len(unsubscribe) == 0 || slices.Contains(subscribe, everything) {
		sub.startWildcard(s.catalog)
	}
	for _, name := range subscribe {
		if name == everything {
			continue
		}
		r, _ := sub.subscribe(s.catalog, name, byName)
		sub.again(r) // even if the client has the resource: it may have forgotten it
	}
	if slices.Contains(unsubscribe, everything) {
		sub.endWildcard(s.catalog)
	}
	if first {
		sub.restore(s.catalog, req.GetInitialResourceVersions())
	}
	sub.unsubscribe(s.catalog, unsubscribe)
	sub.forgetDropped()
	return v, s.checkTotal("resource_names_subscribe")
}

func (s *session) checkDelta(req *discoverypb.DeltaDiscoveryRequest) error {
	if err := s.checkNames("resource_names_subscribe", req.GetResourceNamesSubscribe()); err != nil {
		return err
	}
	if err := s.checkNames("resource_names_unsubscribe", req.GetResourceNamesUnsubscribe()); err != nil {
		return err
	}
	return s.checkNames("initial_resource_versions", slices.Collect(maps.Keys(req.GetInitialResourceVersions())))
}

// restore notes what a client has from an earlier stream. Names that the client has not subscribed to
// count if it wants all resources: it learns which of them do not exist any more.
func (s *subscription) restore(c *catalog, versions map[string]string) {
	s.resumed = len(versions) > 0
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		r := c.resources[s.kind][s.rendering][name]
		if _, is := s.entries[r]; !is {
			if !s.wildcard {
				continue
			}
			r, _ = s.subscribe(c, name, byWildcard)
		}
		s.entries[r] = s.entries[r].withSent(parseVersion(versions[name]))
	}
}

// unsubscribe ends the subscription to names. A client that also wants all resources is told for each
// name whether it is part of them.
func (s *subscription) unsubscribe(c *catalog, names []string) {
	for _, name := range names {
		r := c.resources[s.kind][s.rendering][name]
		e, is := s.entries[r]
		if !is || !e.has(byName) {
			continue
		}
		if s.wildcard {
			s.entries[r] |= byWildcard
			s.again(r)
		}
		s.drop(c, r, byName)
	}
}
