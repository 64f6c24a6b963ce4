package xds

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// maxInFlight is the largest number of responses of one type for which an acknowledgement is
	// expected. If a client acknowledges nothing, the oldest ones are forgotten.
	maxInFlight = 128
	// maxRejected is the largest number of resources of one type that are known to be rejected.
	maxRejected = 256
	// maxRejections is the largest number of rejections that are kept for a client.
	maxRejections = 20
	// maxRejectedNames is the largest number of names in a rejection.
	maxRejectedNames = 20
)

// rejection is one response that a client has rejected.
type rejection struct {
	at     time.Time
	node   string // identifier of the client's node
	url    string
	names  []string // names of the resources: at most maxRejectedNames
	reason string   // the words of the client: at most 1 KiB
}

// flight is a response that the client has not acknowledged.
type flight struct {
	nonce  string
	number uint64 // the nonce as a number: a later response of the session has a larger one
	// changed is the time at which the oldest of the changes in the response was published. It is
	// zero if the client gets all resources of the response for the first time.
	changed   time.Time
	resources []sentResource
}

// sentResource is a resource of a response, and the version that the client had before.
type sentResource struct {
	*resource
	before version
}

// rejectedResource is a resource whose last version a client has rejected. before is the version that
// the client has instead.
type rejectedResource struct {
	reason string
	before version
}

// acknowledgements says which responses of one type a client has accepted.
type acknowledgements struct {
	inFlight []flight // the oldest first
	rejected map[*resource]rejectedResource
	// accepted and refused count responses.
	accepted, refused uint64
}

// verdict is what a request says about an earlier response.
type verdict struct {
	// latency is the time from the change of a resource to its acknowledgement. It is 0 if the
	// request acknowledges no change.
	latency time.Duration
	// rejection is nil if the request rejects nothing. repeated means that its reason is that of the
	// client's last rejection.
	rejection *rejection
	repeated  bool
}

// expect notes a response that was taken to be sent.
func (s *subscription) expect(f flight) {
	if len(s.inFlight) == maxInFlight {
		s.land(1)
	}
	s.inFlight = append(s.inFlight, f)
	s.session.inFlight += len(f.resources)
	s.session.boundFlights()
}

// land removes the n oldest responses from those that are in flight.
func (s *subscription) land(n int) {
	for i := range s.inFlight[:n] {
		s.session.inFlight -= len(s.inFlight[i].resources)
	}
	s.inFlight = slices.Delete(s.inFlight, 0, n)
}

// boundFlights forgets the oldest responses in flight until their resources are about as many as two
// for each name of the session. So a client that acknowledges nothing needs memory only for its names.
func (s *session) boundFlights() {
	for s.inFlight > 2*s.names+maxInFlight {
		var oldest *subscription
		for _, sub := range s.subscriptions {
			if len(sub.inFlight) > 0 && (oldest == nil || sub.inFlight[0].number < oldest.inFlight[0].number) {
				oldest = sub
			}
		}
		if oldest == nil || oldest.inFlight[0].number == s.responses {
			return // the latest response stays
		}
		oldest.land(1)
	}
}

// forgetDropped removes the resources that the client has dropped from what is in flight and from the
// queue. It also frees the memory of a table that was much larger.
func (s *subscription) forgetDropped() {
	if !s.dropped {
		return
	}
	s.dropped = false
	isDropped := func(r sentResource) bool { _, is := s.entries[r.resource]; return !is }
	for i := range s.inFlight {
		f := &s.inFlight[i]
		if before := len(f.resources); slices.ContainsFunc(f.resources, isDropped) {
			f.resources = slices.Clone(slices.DeleteFunc(f.resources, isDropped))
			s.session.inFlight -= before - len(f.resources)
		}
	}
	if s.most > 4*len(s.entries)+64 {
		entries := make(map[*resource]entry, len(s.entries))
		maps.Copy(entries, s.entries)
		s.entries, s.most = entries, len(entries)
	}
	s.compactQueue()
}

// receive notes that a request has the nonce of a response. The request rejects the response if
// reason is not empty. A client answers in the order of the responses, so that earlier responses are
// not in flight any more. A nonce that is not known has no effect.
func (s *subscription) receive(now time.Time, nonce, reason string) (v verdict) {
	at := slices.IndexFunc(s.inFlight, func(f flight) bool { return f.nonce == nonce })
	if at < 0 {
		return v
	}
	f := s.inFlight[at]
	s.land(at + 1)
	if reason != "" {
		v.rejection = s.reject(now, &f, wire.Clean(reason))
		return v
	}
	s.accepted++
	for _, r := range f.resources {
		delete(s.rejected, r.resource)
	}
	if !f.changed.IsZero() {
		v.latency = max(0, now.Sub(f.changed))
	}
	return v
}

// reject notes that the client has rejected a response. If the reason names resources of the
// response, only these count as rejected.
func (s *subscription) reject(now time.Time, f *flight, reason string) *rejection {
	s.refused++
	rejected := &rejection{at: now, node: s.session.node.ID, url: s.url, reason: reason}
	named := slices.ContainsFunc(f.resources, func(r sentResource) bool { return strings.Contains(reason, r.name) })
	for _, r := range f.resources {
		if named && !strings.Contains(reason, r.name) {
			continue
		}
		if len(rejected.names) < maxRejectedNames {
			rejected.names = append(rejected.names, r.name)
		}
		s.noteRejected(r, reason)
	}
	return rejected
}

func (s *subscription) noteRejected(r sentResource, reason string) {
	if _, is := s.entries[r.resource]; !is || len(s.rejected) >= maxRejected {
		return
	}
	if s.rejected == nil {
		s.rejected = map[*resource]rejectedResource{}
	}
	if earlier, is := s.rejected[r.resource]; is {
		r.before = earlier.before
	}
	s.rejected[r.resource] = rejectedResource{reason, r.before}
}

// unaccepted returns the resources whose last version the client has not accepted, with the version
// that it has accepted before.
func (s *subscription) unaccepted() map[*resource]version {
	all := map[*resource]version{}
	for r, rejected := range s.rejected {
		all[r] = rejected.before
	}
	for i := range s.inFlight {
		for _, sent := range s.inFlight[i].resources {
			if _, is := all[sent.resource]; !is {
				all[sent.resource] = sent.before
			}
		}
	}
	return all
}

// behind returns the number of resources whose current version the client has not accepted.
func (s *subscription) behind(c *catalog) (n int) {
	unaccepted := s.unaccepted()
	for r := range unaccepted {
		if _, is := s.entries[r]; is {
			n++
		}
	}
	for _, r := range s.marked() {
		_, known := unaccepted[r]
		if _, due := s.due(c, r); due && !known {
			n++
		}
	}
	return n
}
