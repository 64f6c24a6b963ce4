package health

import "strings"

// MeshName is the service name of the mesh.
const MeshName = "*"

// ID is the name of an instance or of an aggregate. An ID with an empty Instance names a
// service, or the mesh (MeshName). [ZoneID] returns the names of zones. The zero value names
// the process that answers the request.
type ID struct {
	Service  string
	Instance string
}

// ParseID splits "service/instance" at the first slash. It does not check the names. If one
// of them is empty, Service becomes the full text. A text with a slash is no valid service
// name.
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

// Aggregate reports whether id names more than one instance.
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

// zonePrefix marks the name of the aggregate of a service in one zone: "service/@zone". The
// name of a zone of the mesh is "*/zone". No instance can have such a name.
const zonePrefix = "@"

// ZoneID returns the name of the aggregate of a service in one zone. With MeshName it
// returns the name of the zone of the mesh.
func ZoneID(service, zone string) ID {
	if service == MeshName {
		return ID{MeshName, zone}
	}
	return ID{service, zonePrefix + zone}
}

// Zone returns the zone of a name that ZoneID has returned. ok is false for other names.
func (id ID) Zone() (zone string, ok bool) {
	if id.Service == MeshName {
		return id.Instance, id.Instance != ""
	}
	return strings.CutPrefix(id.Instance, zonePrefix)
}
