package metrics

import (
	"slices"
	"sync"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// scope is what a name in the feed stands for.
type scope int

const (
	self scope = iota // the coordinator's own ability to serve
	mesh
	service
	zone // of the mesh
	part // what a service has in a zone
	instance
	numScopes
)

func scopeOf(id health.ID) scope {
	_, inZone := id.Part()
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
		return mesh
	}
	return service
}

// row is what is kept of one name.
type row struct {
	id     health.ID
	status health.Status
	counts *health.Counts // aggregates only
	cause  health.Cause
}

// rows is what is kept, by scope.
type rows [numScopes]map[health.ID]row

// newRows returns what is true before anything is published: health publishes
// nothing of an empty mesh, and says Starting of itself at first.
func newRows() rows {
	var r rows
	for s := range r {
		r[s] = map[health.ID]row{}
	}
	r[self][health.ID{}] = row{status: health.Starting}
	whole := health.ID{Service: health.MeshName}
	r[mesh][whole] = row{id: whole, status: health.Unknown, counts: &health.Counts{}}
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

// model is the last that was read of the feed.
type model struct {
	mu       sync.Mutex
	rows     rows
	revision uint64
}

// take makes step part of the model, or with a snapshot the model of it. It
// returns the instances' entries that changed a status.
func (m *model) take(step *feed.Step) (moved []*feed.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.rows
	if step.Snapshot {
		m.rows = newRows()
	}
	for _, e := range step.Entries {
		if before.movedBy(e, step.Snapshot) {
			moved = append(moved, e)
		}
		m.rows.put(e)
	}
	m.revision = step.Revision
	return moved
}

// movedBy reports whether e is the transition of an instance. The model decides
// where it can: e may stand for several changes, of which only the last is
// known.
func (r *rows) movedBy(e *feed.Entry, snapshot bool) bool {
	if scopeOf(e.ID) != instance || e.Removed {
		return false
	}
	if old, known := r[instance][e.ID]; known {
		return old.status != e.Status
	}
	return !snapshot && e.From != e.Status
}

// view is a copy of the model, for one scrape.
type view struct {
	rows     [numScopes][]row
	revision uint64
}

// view copies, so that no lock is held while series are made and sent.
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

// cut returns the first max rows by name, and how many are left out. So the
// same names always give the same series, also after a restart.
func cut(all []row, most int) (kept []row, omitted int) {
	most = max(0, most)
	if len(all) <= most {
		return all, 0
	}
	slices.SortFunc(all, func(a, b row) int { return a.id.Compare(b.id) })
	return all[:most], len(all) - most
}
