package metrics

import (
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// scope is the kind of a name in the feed: the coordinator, the mesh, a service, a zone or an instance.
type scope int

const (
	self scope = iota // the coordinator itself
	meshScope
	service
	zone // a zone aggregate of the mesh
	part // the part of a service in one zone; it is a zone aggregate too
	instance
	numScopes
)

func scopeOf(id health.ID) scope {
	_, inZone := id.Zone()
	switch {
	case inZone && id.Service == health.MeshName:
		return zone
	case inZone:
		return part
	case !id.Aggregate():
		return instance
	case id.Service == "":
		return self
	case id.Service == health.MeshName:
		return meshScope
	}
	return service
}

// view has all entries of the feed at one revision, by scope and in the order of their names.
type view struct {
	entries  [numScopes][]*feed.Entry
	revision uint64
}

// viewOf returns the view of a cut, which is a feed at one revision. If the cut has no entry of the
// coordinator or of the mesh, the view has one: the coordinator is Starting, the mesh Unknown.
func viewOf(c feed.Cut) view {
	v := view{revision: c.Revision()}
	for e := range c.Of() {
		s := scopeOf(e.ID)
		v.entries[s] = append(v.entries[s], e)
	}
	if len(v.entries[self]) == 0 {
		v.entries[self] = entryWith(health.State{Status: health.Starting})
	}
	if len(v.entries[meshScope]) == 0 {
		v.entries[meshScope] = entryWith(health.State{
			ID: health.ID{Service: health.MeshName}, Status: health.Unknown, Counts: &health.Counts{},
		})
	}
	return v
}

func entryWith(s health.State) []*feed.Entry {
	return []*feed.Entry{{Change: health.Change{State: s}}}
}

// firstOf returns the first limit entries of all. omitted is the number of the other entries.
func firstOf(all []*feed.Entry, limit int) (first []*feed.Entry, omitted int) {
	limit = min(max(0, limit), len(all))
	return all[:limit], len(all) - limit
}
