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
	// Proven means that the policy in use allows the network only with a proof (see Register.ProvenAddresses).
	Proven bool
	Host   string // name of the host; empty for an IP address
	Port   uint16
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
	fresh     map[Observation]bool // keys that have changed since the last call of Take
	callers   map[string]bool      // identities that have changed since then
}

// key returns o without the fields of which the set keeps the highest value.
func (o Observation) key() Observation {
	o.Detail, o.Longest = Hidden, 0
	return o
}

// Add adds an observation.
func (s *Observations) Add(o Observation) {
	key := o.key()
	before, has := s.all[key]
	switch {
	case has:
		o.Detail, o.Longest = max(o.Detail, before.Detail), max(o.Longest, before.Longest)
		if o == before {
			return
		}
	case len(s.all) >= s.Limit:
		s.Dropped++
		return
	case s.all == nil:
		s.all, s.fresh = map[Observation]Observation{}, map[Observation]bool{}
	}
	s.all[key], s.fresh[key] = o, true
}

// AddInstances notes how many instances an identity had registered at the same time. The set keeps the highest
// number.
func (s *Observations) AddInstances(identity string, n int) {
	before, has := s.instances[identity]
	switch {
	case has && n <= before:
		return
	case !has && len(s.instances) >= s.Limit:
		s.Dropped++
		return
	case s.instances == nil:
		s.instances, s.callers = map[string]int{}, map[string]bool{}
	}
	s.instances[identity], s.callers[identity] = n, true
}

// Count returns the number of observations.
func (s *Observations) Count() int { return len(s.all) }

// Take returns the observations, and the numbers of instances by identity, that have changed since the last call.
func (s *Observations) Take() (all []Observation, instances map[string]int) {
	all, instances = make([]Observation, 0, len(s.fresh)), make(map[string]int, len(s.callers))
	for key := range s.fresh {
		all = append(all, s.all[key])
	}
	for identity := range s.callers {
		instances[identity] = s.instances[identity]
	}
	clear(s.fresh)
	clear(s.callers)
	return all, instances
}
