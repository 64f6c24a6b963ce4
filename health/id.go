package health

import "strings"

// MeshName is the name of the whole mesh. It is used in the place of a service name, for
// example in ID.Service.
const MeshName = "*"

// ID is the name of an instance or of an aggregate. An aggregate is a service, a zone or the
// mesh. An ID with an empty Instance names a service, or the mesh if Service is MeshName.
// [ZoneID] returns the names of zones. The zero value names the publisher itself: the process
// that publishes the states and answers requests about them.
type ID struct {
	Service  string
	Instance string
}

// ParseID splits "service/instance" at the first slash. It does not check the names. If one
// of the two names is empty, Service of the result is the full text with its slash. A name
// with a slash is not a valid service name, so that later checks refuse it.
func ParseID(name string) ID {
	service, instance, _ := strings.Cut(name, "/")
	if service == "" || instance == "" {
		return ID{Service: name}
	}
	return ID{Service: service, Instance: instance}
}

// String returns "service/instance", or "service" if Instance is empty.
func (id ID) String() string {
	if id.Instance == "" {
		return id.Service
	}
	return id.Service + "/" + id.Instance
}

// Aggregate reports whether id names a service, a zone or the mesh, and not one instance.
func (id ID) Aggregate() bool {
	_, inZone := id.Zone()
	return inZone || id.Instance == ""
}

// Compare compares two IDs by service and then by instance. It returns -1, 0 or 1. An empty
// Instance comes first.
func (id ID) Compare(other ID) int {
	if c := strings.Compare(id.Service, other.Service); c != 0 {
		return c
	}
	return strings.Compare(id.Instance, other.Instance)
}

// zonePrefix is the "@" in a name like "pay/@eu", which stands for all instances of the
// service pay in the zone eu. The name of an instance cannot begin with "@". The zone eu of
// the whole mesh has the name "*/eu".
const zonePrefix = "@"

// ZoneID returns the name that stands for all instances of a service in one zone. If service
// is MeshName, ZoneID returns the name of the zone with all its services.
func ZoneID(service, zone string) ID {
	if service == MeshName {
		return ID{MeshName, zone}
	}
	return ID{service, zonePrefix + zone}
}

// Zone returns the zone in a name that ZoneID has made. ok is false for all other names.
func (id ID) Zone() (zone string, ok bool) {
	if id.Service == MeshName {
		return id.Instance, id.Instance != ""
	}
	return strings.CutPrefix(id.Instance, zonePrefix)
}
