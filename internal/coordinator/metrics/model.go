package metrics

import (
	"slices"
	"sync"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// scope is the kind of a name in the feed: the coordinator, the mesh, a service, a zone or an instance.
type scope int

const (
	self scope = iota // the name of the coordinator itself
	meshScope
	service
	zone // a zone aggregate of the mesh
	part // the part of a service in one zone, which is a zone aggregate
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

// row holds the fields of a state that the metrics need.
type row struct {
	id     health.ID
	status health.Status
	counts *health.Counts // counts of the members; nil for names that are not aggregates
	cause  health.Cause
}

// rows holds one row for each name in the feed, by scope and name.
type rows [numScopes]map[health.ID]row

// newRows returns the rows of an empty mesh, which publishes nothing. The row of the
// coordinator itself has the status Starting.
func newRows() rows {
	var r rows
	for s := range r {
		r[s] = map[health.ID]row{}
	}
	r[self][health.ID{}] = row{status: health.Starting}
	whole := health.ID{Service: health.MeshName}
	r[meshScope][whole] = row{id: whole, status: health.Unknown, counts: &health.Counts{}}
	return r
}

func (r *rows) put(e *feed.Entry) {
	table := r[scopeOf(e.ID)]
	if e.Removed {
		delete(table, e.ID)
		return
	}
	table[e.ID] = row{id: e.ID, status: e.Status, counts: e.Counts, cause: e.Cause}
}

// model holds the rows after the last step that was read from the feed.
type model struct {
	mu       sync.Mutex
	rows     rows
	revision uint64
}

// apply applies a step to the model; a snapshot replaces the model. It returns the entries
// of instances whose status has changed.
func (m *model) apply(step *feed.Step) (moved []*feed.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.rows
	if step.Snapshot {
		m.rows = newRows()
	}
	for e := range step.Entries {
		if before.movedBy(e, step.Snapshot) {
			moved = append(moved, e)
		}
		m.rows.put(e)
	}
	m.revision = step.Revision
	return moved
}

// movedBy reports whether e is the transition of an instance. It compares e with the
// model where possible, because e may combine several changes.
func (r *rows) movedBy(e *feed.Entry, snapshot bool) bool {
	if scopeOf(e.ID) != instance || e.Removed {
		return false
	}
	if old, known := r[instance][e.ID]; known {
		return old.status != e.Status
	}
	return !snapshot && e.From != e.Status
}

// view is a copy of the model for one scrape.
type view struct {
	rows     [numScopes][]row
	revision uint64
}

// view returns a copy of the model, so that no lock is held while series are sent.
func (m *model) view() view {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := view{revision: m.revision}
	for s, table := range m.rows {
		v.rows[s] = make([]row, 0, len(table))
		for _, r := range table {
			v.rows[s] = append(v.rows[s], r)
		}
	}
	return v
}

// cut returns the first most rows in the order of their names, and the number of rows
// that it omits. With this order, a restart does not change which names have series.
func cut(all []row, most int) (kept []row, omitted int) {
	most = max(0, most)
	if len(all) <= most {
		return all, 0
	}
	slices.SortFunc(all, func(a, b row) int { return a.id.Compare(b.id) })
	return all[:most], len(all) - most
}
