package plan

import (
	"net/netip"

	"github.com/meshhealth/meshhealth/health"
)

// Instance is what the writer needs to know of an instance of the mesh.
type Instance struct {
	ID     health.ID
	Status health.Status
	Cause  health.Cause
	Route  health.Route
	// UID is the UID of the Pod that the instance says it is; it may be empty.
	UID string
	// Address is the IP address that receives traffic. It is not valid if it is unknown.
	Address netip.Addr
	// Spec is the registration.
	Spec *health.Spec
}

// InstanceOf returns the instance that a state describes. It returns nil for an aggregate, and for a
// state without a registration.
func InstanceOf(s *health.State) *Instance {
	if s.Spec == nil || s.ID.Instance == "" {
		return nil
	}
	i := &Instance{ID: s.ID, Status: s.Status, Cause: s.Cause, Route: s.Route, UID: s.Spec.Labels[LabelUID], Spec: s.Spec}
	if s.Endpoint.IsValid() {
		i.Address = s.Endpoint.Addr().Unmap()
	} else if at, err := netip.ParseAddrPort(s.Spec.Address); err == nil {
		i.Address = at.Addr().Unmap()
	}
	return i
}

// instances has all instances, by what objects find them.
type instances struct {
	byID      map[health.ID]*Instance
	byUID     map[string]map[health.ID]*Instance
	byAddress map[netip.Addr]map[health.ID]*Instance // instances without a UID
	// heard has the instances of byID of which the coordinator has known more than STARTING since its
	// start.
	heard map[health.ID]bool
}

func newInstances() instances {
	return instances{
		byID: map[health.ID]*Instance{}, byUID: map[string]map[health.ID]*Instance{},
		byAddress: map[netip.Addr]map[health.ID]*Instance{}, heard: map[health.ID]bool{},
	}
}

// put adds or replaces an instance.
func (s *instances) put(i *Instance) {
	s.unindex(i.ID)
	if i.Route != health.RouteNone && i.Status != health.Starting {
		s.heard[i.ID] = true
	}
	s.byID[i.ID] = i
	if i.UID != "" {
		add(s.byUID, i.UID, i)
	} else if i.Address.IsValid() {
		add(s.byAddress, i.Address, i)
	}
}

func (s *instances) remove(id health.ID) {
	s.unindex(id)
	delete(s.heard, id)
}

func (s *instances) unindex(id health.ID) {
	i := s.byID[id]
	if i == nil {
		return
	}
	delete(s.byID, id)
	drop(s.byUID, i.UID, id)
	drop(s.byAddress, i.Address, id)
}

func add[K comparable](m map[K]map[health.ID]*Instance, key K, i *Instance) {
	if m[key] == nil {
		m[key] = map[health.ID]*Instance{}
	}
	m[key][i.ID] = i
}

func drop[K comparable](m map[K]map[health.ID]*Instance, key K, id health.ID) {
	if delete(m[key], id); len(m[key]) == 0 {
		delete(m, key)
	}
}

// of returns the instances that belong to an object. An instance with the UID of a Pod belongs to
// this Pod. An instance without a UID belongs to the object with its address.
func (s *instances) of(o *Object) []*Instance {
	var all []*Instance
	if o.Kind == Pod {
		for _, i := range s.byUID[o.UID] {
			all = append(all, i)
		}
	}
	for _, at := range o.Addresses {
		for _, i := range s.byAddress[at] {
			if o.Service == "" || o.Service == i.ID.Service {
				all = append(all, i)
			}
		}
	}
	return all
}
