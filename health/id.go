package health

import "strings"

// MeshName is the service name of the mesh as a whole.
const MeshName = "*"

// ID names an instance, or with an empty Instance an aggregate: a service, the
// mesh (MeshName), or with both empty whoever answers. A zone of the mesh and
// what a service has there are aggregates too: see ZoneID and PartID.
type ID struct {
	Service  string
	Instance string
}

// ParseID splits "service/instance" at its first slash. It checks nothing.
func ParseID(name string) ID {
	service, instance, _ := strings.Cut(name, "/")
	return ID{Service: service, Instance: instance}
}

// String returns "service/instance", or "service" for an aggregate.
func (id ID) String() string {
	if id.Instance == "" {
		return id.Service
	}
	return id.Service + "/" + id.Instance
}

// Aggregate reports whether id names more than one instance.
func (id ID) Aggregate() bool {
	_, part := id.Part()
	return part || id.Instance == ""
}

// Compare orders by service, then instance; aggregates come first.
func (id ID) Compare(other ID) int {
	if c := strings.Compare(id.Service, other.Service); c != 0 {
		return c
	}
	return strings.Compare(id.Instance, other.Instance)
}
