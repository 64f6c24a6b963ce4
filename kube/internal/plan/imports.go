package plan

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

const (
	// MaxActions is the number of actions that are handed out together.
	MaxActions = 100
	// settle is how long the Watch may take to show what was registered.
	settle = 10 * time.Second
	// retryRefused and retryFailed are the pauses before the next attempt.
	retryRefused, retryFailed = time.Minute, 2 * time.Second
)

// Action is a change of the registrations of imported Pods.
type Action struct {
	ID health.ID
	// Remove names the Pod whose registration is removed, or is nil. Before that, the caller must ask
	// the API server whether the Pod exists.
	Remove *Reference
	// Register is the registration to add, after the removal. It may be nil.
	Register *pb.Registration
	// Conflict reports that nothing is done, because the instance belongs to somebody else.
	Conflict bool
}

// Reference names a Pod as it was registered.
type Reference struct{ Namespace, Name, UID string }

// ActionResult is the result of an Action. Refused reports that the same action will be refused again.
type ActionResult struct {
	Action  Action
	Refused bool
	Err     error
}

// imports decides which registrations the source of the writer should have.
type imports struct {
	source string
	wanted map[health.ID]*wanted
	owned  map[Key]health.ID // what each imported Pod is registered as
	// touched has the instances that must be compared, and later those that must be compared again
	// at a time.
	touched map[health.ID]struct{}
	later   map[health.ID]time.Time
	listed  bool // true if all Pods are known
	busy    bool // true if actions were handed out and are not done
}

// wanted is the registration that an instance should have.
type wanted struct {
	object *Object
	sent   *pb.Registration // what the coordinator accepted last; nil: nothing since the start
	sentAt time.Time
}

func newImports(source string) imports {
	return imports{
		source: source, wanted: map[health.ID]*wanted{}, owned: map[Key]health.ID{},
		touched: map[health.ID]struct{}{}, later: map[health.ID]time.Time{},
	}
}

func (m *imports) touch(id health.ID) { m.touched[id] = struct{}{} }

// object takes note of an object.
func (m *imports) object(o *Object) {
	r := o.Register
	if r == nil {
		m.forget(o.Key)
		return
	}
	id := health.ID{Service: r.GetService(), Instance: r.GetInstance()}
	if old, ok := m.owned[o.Key]; ok && old != id {
		m.forget(o.Key)
	}
	m.owned[o.Key] = id
	w := m.wanted[id]
	if w == nil {
		w = &wanted{}
		m.wanted[id] = w
	}
	if w.object == nil || !proto.Equal(w.object.Register, r) {
		m.touch(id)
		delete(m.later, id)
	}
	w.object = o
}

// forget takes note of an object that is not imported any more.
func (m *imports) forget(key Key) {
	id, ok := m.owned[key]
	if !ok {
		return
	}
	delete(m.owned, key)
	delete(m.wanted, id)
	m.touch(id)
}

// instance takes note of a change of an instance.
func (m *imports) instance(id health.ID, old, now *Instance) {
	ours := func(i *Instance) bool { return i != nil && i.Spec.Source == m.source }
	if m.wanted[id] != nil || ours(old) || ours(now) {
		m.touch(id)
	}
}

func (m *imports) podsListed() { m.listed = true }

// reconcile compares everything.
func (m *imports) reconcile(instances map[health.ID]*Instance) {
	for id := range m.wanted {
		m.touch(id)
	}
	for id, i := range instances {
		if i.Spec.Source == m.source {
			m.touch(id)
		}
	}
}

// NextActions returns what must be done now, and when to call NextActions again: at the zero time,
// only after something has happened. The next actions are handed out after ActionsDone.
func (p *Planner) NextActions(now time.Time) ([]Action, time.Time) {
	m := &p.imports
	if m.busy || !m.listed || !p.snapshot.complete {
		return nil, time.Time{}
	}
	var wake time.Time
	for id, at := range m.later {
		if !now.Before(at) {
			delete(m.later, id)
			m.touch(id)
		} else if wake.IsZero() || at.Before(wake) {
			wake = at
		}
	}
	ids := slices.SortedFunc(maps.Keys(m.touched), func(a, b health.ID) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance))
	})
	var actions []Action
	for _, id := range ids {
		if len(actions) == MaxActions {
			break
		}
		delete(m.touched, id)
		if _, waits := m.later[id]; waits {
			continue
		}
		a, again := m.action(id, p.mesh.byID[id], now)
		if a != nil {
			actions = append(actions, *a)
		} else if !again.IsZero() {
			m.later[id] = again
			if wake.IsZero() || again.Before(wake) {
				wake = again
			}
		}
	}
	m.busy = len(actions) > 0
	return actions, wake
}

// action returns what must be done about an instance. If the answer may change by itself, again is
// the time to ask once more.
func (m *imports) action(id health.ID, have *Instance, now time.Time) (a *Action, again time.Time) {
	w := m.wanted[id]
	ours := have != nil && have.Spec.Static && have.Spec.Source == m.source
	if w == nil {
		if ours {
			return &Action{ID: id, Remove: referenceTo(have)}, again
		}
		return nil, again
	}
	r := w.object.Register
	switch {
	case have != nil && !ours:
		return &Action{ID: id, Conflict: true}, again
	case have != nil && have.UID != w.object.UID:
		// A new Pod under the name of an earlier one must not have its status.
		if w.sent != nil && proto.Equal(w.sent, r) && now.Before(w.sentAt.Add(settle)) {
			return nil, w.sentAt.Add(settle)
		}
		return &Action{ID: id, Remove: referenceTo(have), Register: r}, again
	case w.sent == nil || !proto.Equal(w.sent, r):
		return &Action{ID: id, Register: r}, again
	case have != nil && matches(have.Spec, r):
		return nil, again
	case now.Before(w.sentAt.Add(settle)):
		return nil, w.sentAt.Add(settle)
	}
	return &Action{ID: id, Register: r}, again
}

func referenceTo(i *Instance) *Reference {
	labels := i.Spec.Labels
	return &Reference{Namespace: labels[LabelNamespace], Name: labels[LabelPod], UID: labels[LabelUID]}
}

// matches reports whether the coordinator has a registration. A caller without the right to see
// addresses cannot compare them.
func matches(have *health.Spec, r *pb.Registration) bool {
	return (have.Address == r.GetAddress() || have.Address == "") && maps.Equal(have.Labels, r.GetLabels()) &&
		have.Zone == r.GetZone() && have.Region == r.GetRegion() && have.Version == r.GetVersion()
}

// ActionsDone takes note of the results of all actions that NextActions has handed out.
func (p *Planner) ActionsDone(results []ActionResult, now time.Time) {
	m := &p.imports
	m.busy = false
	for _, r := range results {
		id := r.Action.ID
		switch w := m.wanted[id]; {
		case r.Refused || r.Action.Conflict:
			m.later[id] = now.Add(retryRefused)
		case r.Err != nil:
			m.later[id] = now.Add(retryFailed)
		case w != nil && r.Action.Register != nil:
			w.sent, w.sentAt = r.Action.Register, now
			m.touch(id) // the Pod may have changed meanwhile
		}
	}
}
