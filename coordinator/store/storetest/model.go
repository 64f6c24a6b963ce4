package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// model is a simple store made of maps. The tests compare a real store with it.
type model struct {
	maxJournal    int // largest number of transitions that the real store keeps
	registrations map[health.ID]store.Registration
	overrides     map[string]store.Override
	statuses      map[health.ID]store.Status
	positions     map[string]store.Position
	journal       []store.Transition // all transitions, including those that the real store has dropped
	lastBatch     uint64
	aliveAt       time.Time
}

func newModel(maxJournal int) *model {
	return &model{
		maxJournal:    maxJournal,
		registrations: map[health.ID]store.Registration{},
		overrides:     map[string]store.Override{},
		statuses:      map[health.ID]store.Status{},
		positions:     map[string]store.Position{},
	}
}

func (m *model) commit(b *store.Batch) {
	for _, id := range b.DeleteRegistrations {
		delete(m.registrations, id)
		delete(m.statuses, id)
	}
	for _, scope := range b.DeleteOverrides {
		delete(m.overrides, scope)
	}
	for _, consumer := range b.DeletePositions {
		delete(m.positions, consumer)
	}
	for _, r := range b.PutRegistrations {
		m.registrations[r.ID] = r
	}
	for _, o := range b.PutOverrides {
		m.overrides[o.Scope] = o
	}
	for _, s := range b.PutStatuses {
		if _, ok := m.registrations[s.ID]; ok {
			m.statuses[s.ID] = s
		}
	}
	for _, p := range b.PutPositions {
		m.positions[p.Consumer] = p
	}
	m.journal = append(m.journal, b.Transitions...)
	m.lastBatch = b.ID
	if !b.AliveAt.IsZero() {
		m.aliveAt = b.AliveAt
	}
}

func (m *model) state() store.State {
	return store.State{
		Registrations: slices.Collect(maps.Values(m.registrations)),
		Overrides:     slices.Collect(maps.Values(m.overrides)),
		Statuses:      slices.Collect(maps.Values(m.statuses)),
		Positions:     slices.Collect(maps.Values(m.positions)),
		AliveAt:       m.aliveAt,
		LastBatch:     m.lastBatch,
	}
}

// compare fails the test if the store and the model differ. It compares all records, the pages of
// one query, and the whole journal read forward.
func (m *model) compare(t *testing.T, s store.Store, step int) {
	t.Helper()
	what := fmt.Sprintf("step %d", step)
	same(t, what, load(t, s), m.state())
	kept := m.journal[max(0, len(m.journal)-m.maxJournal):]
	q := queries[step%len(queries)]
	q.Limit = 1 + step%9
	sameJournal(t, what, journal(t, s, q), matching(kept, q))
	got, dropped := forward(t, s, store.Cursor{Limit: q.Limit})
	sameJournal(t, what, got, kept)
	if want := len(m.journal) - len(kept); dropped != uint64(want) {
		t.Fatalf("%s: %d dropped, want %d", what, dropped, want)
	}
}

// chance is a source of random batches. It uses few names, so that many batches change the same
// records.
type chance struct{ *rand.Rand }

func (c chance) id() health.ID {
	return id([]string{"pay", "cart", "pa"}[c.IntN(3)], []string{"1", "2", "11", ""}[c.IntN(4)])
}

func (c chance) ids() []health.ID {
	ids := make([]health.ID, c.IntN(3))
	for i := range ids {
		ids[i] = c.id()
	}
	return ids
}

// scopes returns the texts of random IDs. The tests use them as scopes and names of consumers.
func (c chance) scopes() []string {
	var texts []string
	for _, id := range c.ids() {
		texts = append(texts, id.String())
	}
	return texts
}

func (c chance) status() health.Status {
	return health.Statuses()[c.IntN(len(health.Statuses()))]
}

// text returns a random text that is sometimes longer than a page of the file.
func (c chance) text() string {
	if c.IntN(20) == 0 {
		return fmt.Sprintf("%01000d", c.IntN(1000))
	}
	return fmt.Sprint(c.IntN(1000))
}

func (c chance) batch() *store.Batch {
	b := &store.Batch{}
	if c.IntN(2) == 0 {
		b.DeleteRegistrations, b.DeleteOverrides, b.DeletePositions = c.ids(), c.scopes(), c.scopes()
	}
	for _, id := range c.ids() {
		r := registration(id)
		r.Lease, r.Address = c.Uint64(), c.text()
		b.PutRegistrations = append(b.PutRegistrations, r)
	}
	for _, id := range c.ids() {
		b.PutOverrides = append(b.PutOverrides, store.Override{Scope: id.String(), Status: c.status(), Reason: c.text(), SetAt: at(c.IntN(1000))})
	}
	for _, id := range c.ids() {
		b.PutStatuses = append(b.PutStatuses, store.Status{ID: id, Status: c.status(), Reason: c.text(), Since: at(c.IntN(1000))})
	}
	b.Transitions = c.transitions()
	for _, consumer := range c.scopes() {
		b.PutPositions = append(b.PutPositions, store.Position{Consumer: consumer, Seq: c.Uint64N(uint64(len(b.Transitions)) + 1)})
	}
	b.ID = c.Uint64N(3)
	if c.IntN(4) == 0 {
		b.AliveAt = at(c.IntN(1000))
	}
	return b
}

func (c chance) transitions() []store.Transition {
	all := make([]store.Transition, c.IntN(6))
	for i := range all {
		all[i] = store.Transition{ID: c.id(), From: c.status(), To: c.status(), At: at(c.IntN(1000)), Reason: c.text()}
		if c.IntN(10) == 0 {
			all[i] = store.Transition{At: at(i), Lost: 1 + c.Uint64N(9)}
		}
	}
	return all
}

const modelSteps = 100

// newChance returns a source of random batches. It logs its seed if the test fails.
func newChance(t *testing.T) chance {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return chance{rand.New(rand.NewPCG(seed, 0))}
}

func testModel(t *testing.T, open Open, most int) {
	s, m, c := open(t, most), newModel(most), newChance(t)
	for step := range modelSteps {
		b := c.batch()
		commit(t, s, b)
		m.commit(b)
		m.compare(t, s, step)
	}
}

func testModelReopening(t *testing.T, open OpenAt) {
	const most = 30
	folder, c := t.TempDir(), newChance(t)
	s, m := open(t, folder, most), newModel(most)
	for step := range modelSteps {
		b := c.batch()
		commit(t, s, b)
		m.commit(b)
		if c.IntN(3) == 0 {
			s = reopen(t, s, open, folder, most)
			m.compare(t, s, step)
		}
	}
	m.compare(t, s, modelSteps)
}
