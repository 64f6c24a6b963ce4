package access

import (
	"net/netip"
	"time"
)

// Observation is an action that a caller was observed to take, without how often and when. Observations are
// comparable.
type Observation struct {
	Identity string // empty for a caller without an identity
	Verb     Verb
	// Service is the service on which the verb was used. It is [health.MeshName] for what only the pattern *
	// allows, and empty for VerbAdmin.
	Service string
	Detail  Detail        // for VerbRead: the lowest detail that is enough
	Longest time.Duration // for VerbOverride: how long the override was set for; 0 if it was cleared
	Place   Place         // for VerbRegister
}

// Place is where an instance was registered.
type Place struct {
	Peer bool // at the IP address from which the caller has called
	// Network contains the IP address. It is not valid if Peer is true, or if the name of the host was not
	// resolved yet.
	Network netip.Prefix
	Host    string // name of the host; empty for an IP address
	Port    uint16
}

// Observations is a set of observations. It has at most one observation for each key, which is all that is
// neither Detail nor Longest. The zero value has no room.
type Observations struct {
	// Limit is the largest number of observations, and of identities.
	Limit int
	// Dropped is the number of calls of Add and AddInstances for which there was no room.
	Dropped uint64

	all       map[Observation]Observation // by key
	instances map[string]int
}

// key returns o without the fields of which the set keeps the highest value.
func (o Observation) key() Observation {
	o.Detail, o.Longest = Hidden, 0
	return o
}

// Add adds an observation. It returns what the set now has for the key, and whether this has changed.
func (s *Observations) Add(o Observation) (now Observation, changed bool) {
	before, has := s.all[o.key()]
	switch {
	case has:
		o.Detail, o.Longest = max(o.Detail, before.Detail), max(o.Longest, before.Longest)
	case len(s.all) >= s.Limit:
		s.Dropped++
		return o, false
	case s.all == nil:
		s.all = map[Observation]Observation{}
	}
	s.all[o.key()] = o
	return o, !has || o != before
}

// AddInstances notes how many instances an identity had registered at the same time. It returns true if it never
// had more before.
func (s *Observations) AddInstances(identity string, n int) (changed bool) {
	before, has := s.instances[identity]
	switch {
	case n <= before:
		return false
	case !has && len(s.instances) >= s.Limit:
		s.Dropped++
		return false
	case s.instances == nil:
		s.instances = map[string]int{}
	}
	s.instances[identity] = n
	return true
}

// Count returns the number of observations.
func (s *Observations) Count() int { return len(s.all) }
