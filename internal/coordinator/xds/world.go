package xds

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// everything is the name that stands for all resources of a type.
const everything = "*"

// hashNames returns a hash of names in their order. It is never 0.
func hashNames(names []string) uint64 {
	h := fnv.New64a()
	var size [4]byte
	for _, name := range names {
		binary.BigEndian.PutUint32(size[:], uint32(len(name)))
		_, _ = h.Write(size[:])
		_, _ = h.Write([]byte(name))
	}
	return max(1, h.Sum64())
}

// handleWorld applies a request of the state of the world. hash is the hash of its names.
func (s *session) handleWorld(now time.Time, req *discoverypb.DiscoveryRequest, hash uint64) (verdict, error) {
	names := req.GetResourceNames()
	if err := s.checkNames("resource_names", names); err != nil {
		return verdict{}, err
	}
	sub, first, err := s.subscriptionTo(req.GetTypeUrl())
	if err != nil {
		return verdict{}, err
	}
	nonce := req.GetResponseNonce()
	v := s.keep(sub.receive(now, nonce, reasonOf(req.GetErrorDetail())))
	if sub.nonce != "" && nonce != "" && nonce != sub.nonce {
		return v, nil // the client has not seen the last response yet, and repeats its names when it has
	}
	if first && sub.kind == unknownKind {
		sub.answer = true // the answer without resources says that there are none
		s.wake()
	}
	if !first && hash == sub.names {
		return v, nil
	}
	sub.names = hash
	sub.setNames(s.catalog, names)
	return v, s.checkTotal("resource_names")
}

// setNames replaces the names for which the client asks.
func (s *subscription) setNames(c *catalog, names []string) {
	s.named = s.named || len(names) > 0
	if !s.named || slices.Contains(names, everything) {
		s.startWildcard(c)
	} else {
		s.endWildcard(c)
	}
	wanted := make(map[*resource]struct{}, len(names))
	for _, name := range names {
		if name == everything {
			continue
		}
		r, isNew := s.subscribe(c, name)
		wanted[r] = struct{}{}
		if isNew && s.kind.full() {
			s.answer = true
		}
	}
	for r, e := range s.entries {
		if _, is := wanted[r]; !is && e.has(byName) {
			s.drop(c, r, byName)
		}
	}
}
