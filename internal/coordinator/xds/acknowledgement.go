package xds

import (
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// maxInFlight is the largest number of responses of one type for which an acknowledgement is
	// expected. If a client acknowledges nothing, the oldest ones are forgotten.
	maxInFlight = 16
	// maxRejected is the largest number of resources of one type that are known to be rejected.
	maxRejected = 256
	// maxRejections is the largest number of rejections that are kept for a client.
	maxRejections = 20
	// maxRejectedNames is the largest number of names in a Rejection.
	maxRejectedNames = 20
)

// Rejection is one response that a client has rejected.
type Rejection struct {
	At   time.Time
	Node string // identifier of the client's node
	// TypeURL is the type of the resources. Names are those of the response: at most 20.
	TypeURL string
	Names   []string
	// Reason says why, in the words of the client: at most 1 KiB.
	Reason string
}

// flight is a response that the client has not acknowledged.
type flight struct {
	nonce string
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
	rejection *Rejection
	repeated  bool
}

// expect notes a response that was taken to be sent.
func (a *acknowledgements) expect(f flight) {
	if len(a.inFlight) == maxInFlight {
		a.inFlight = slices.Delete(a.inFlight, 0, 1)
	}
	a.inFlight = append(a.inFlight, f)
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
	s.inFlight = slices.Delete(s.inFlight, 0, at+1)
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
func (s *subscription) reject(now time.Time, f *flight, reason string) *Rejection {
	s.refused++
	rejection := &Rejection{At: now, Node: s.session.node.ID, TypeURL: s.url, Reason: reason}
	named := slices.ContainsFunc(f.resources, func(r sentResource) bool { return strings.Contains(reason, r.name) })
	for _, r := range f.resources {
		if named && !strings.Contains(reason, r.name) {
			continue
		}
		if len(rejection.Names) < maxRejectedNames {
			rejection.Names = append(rejection.Names, r.name)
		}
		s.noteRejected(r, reason)
	}
	return rejection
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

// acknowledged returns the version of a resource that the client has accepted last.
func (s *subscription) acknowledged(r *resource) version {
	if rejected, is := s.rejected[r]; is {
		return rejected.before
	}
	for i := range s.inFlight {
		for _, sent := range s.inFlight[i].resources {
			if sent.resource == r {
				return sent.before
			}
		}
	}
	return s.entries[r].sent()
}

// behind returns the resources whose current version the client has not accepted.
func (s *subscription) behind(c *catalog) map[*resource]bool {
	behind := map[*resource]bool{}
	for r := range s.rejected {
		behind[r] = true
	}
	for i := range s.inFlight {
		for _, sent := range s.inFlight[i].resources {
			if _, is := s.entries[sent.resource]; is {
				behind[sent.resource] = true
			}
		}
	}
	for _, r := range s.queue {
		if s.entries[r].has(marked) {
			if _, due := s.due(c, r); due {
				behind[r] = true
			}
		}
	}
	return behind
}
