package xds

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strconv"
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
	if !sub.hasSent(nonce) {
		return v, nil
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
	sub.forgetDropped()
	if first && req.GetVersionInfo() != "" {
		sub.resume()
	}
	return v, s.checkTotal("resource_names")
}

// hasSent reports whether a nonce may be that of a response on this stream. A nonce that is not the
// last one counts too: requests come in their order, so that the names in it are the latest ones. If
// they were ignored, a client could not add a name while responses follow each other fast.
func (s *subscription) hasSent(nonce string) bool {
	if nonce == "" || s.nonce == "" {
		return true
	}
	n, err := strconv.ParseUint(nonce, 10, 64)
	last, _ := strconv.ParseUint(s.nonce, 10, 64)
	return err == nil && n > 0 && n <= last
}

// resume notes that the client may have content from an earlier stream. So it gets an empty endpoint
// set for each service that does not exist any more.
func (s *subscription) resume() {
	s.resumed = true
	for r, e := range s.entries {
		s.entries[r] = e.withSent(unknownVersion)
	}
}

// setNames replaces the names for which the client asks.
func (s *subscription) setNames(c *catalog, names []string) {
	s.named = s.named || len(names) > 0
	all := !s.named || slices.Contains(names, everything)
	if all {
		s.startWildcard(c)
	}
	wanted := make(map[*resource]struct{}, len(names))
	for _, name := range names {
		if name == everything {
			continue
		}
		r, before := s.subscribe(c, name, byName)
		wanted[r] = struct{}{}
		if !before.has(byName) {
			s.again(r)
			s.answer = s.answer || s.kind.full()
		}
	}
	if !all {
		s.endWildcard(c) // only now, so that the entries of the names keep what the client has
	}
	for r, e := range s.entries {
		if _, is := wanted[r]; !is && e.has(byName) {
			s.drop(c, r, byName)
			s.answer = s.answer || all && s.kind.full() // so that the client learns whether the resource stays
		}
	}
	if s.answer {
		s.session.wake()
	}
}
