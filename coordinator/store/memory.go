package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	// DefaultTransitions is how many transitions a journal keeps unless told.
	DefaultTransitions = 100_000
	// MaxPage is the most transitions one page holds.
	MaxPage = 1000
)

// JournalBound returns how many transitions to keep when n were asked for: 0
// means DefaultTransitions, negative none.
func JournalBound(n int) int {
	if n == 0 {
		return DefaultTransitions
	}
	return max(0, n)
}

// Validate reports a limit out of range.
func (q Query) Validate() error {
	if q.Limit < 1 || q.Limit > MaxPage {
		return fmt.Errorf("store: a page of %d transitions was asked for, want 1 to %d", q.Limit, MaxPage)
	}
	return nil
}

// Memory is the store that forgets: it lasts as long as the process.
type Memory struct {
	maxTransitions int

	mu            sync.RWMutex
	closed        bool
	registrations map[health.ID]Registration
	overrides     map[health.ID]Override
	statuses      map[health.ID]Status
	journal       []Transition // by rising Seq
	lastSeq       uint64
	aliveAt       time.Time
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store whose journal keeps maxTransitions: 0 means
// DefaultTransitions, negative none.
func NewMemory(maxTransitions int) *Memory {
	return &Memory{
		maxTransitions: JournalBound(maxTransitions),
		registrations:  map[health.ID]Registration{},
		overrides:      map[health.ID]Override{},
		statuses:       map[health.ID]Status{},
	}
}

// ready is what every method asks first.
func (m *Memory) ready(ctx context.Context) error {
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context) (State, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.ready(ctx); err != nil {
		return State{}, err
	}
	s := State{AliveAt: m.aliveAt}
	for _, r := range m.registrations {
		s.Registrations = append(s.Registrations, own(r))
	}
	s.Overrides = slices.AppendSeq(s.Overrides, maps.Values(m.overrides))
	s.Statuses = slices.AppendSeq(s.Statuses, maps.Values(m.statuses))
	return s, nil
}

// own returns r with nothing in it that somebody else could change.
func own(r Registration) Registration {
	r.Labels = maps.Clone(r.Labels)
	if r.Judge != nil {
		judge := *r.Judge
		r.Judge = &judge
	}
	return r
}

// Lookup implements [Store].
func (m *Memory) Lookup(ctx context.Context, ids []health.ID) (State, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.ready(ctx); err != nil {
		return State{}, err
	}
	s := State{AliveAt: m.aliveAt}
	seen := map[health.ID]bool{}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			m.lookup(&s, id)
		}
	}
	return s, nil
}

func (m *Memory) lookup(s *State, id health.ID) {
	if r, ok := m.registrations[id]; ok {
		s.Registrations = append(s.Registrations, own(r))
	}
	if o, ok := m.overrides[id]; ok {
		s.Overrides = append(s.Overrides, o)
	}
	if st, ok := m.statuses[id]; ok {
		s.Statuses = append(s.Statuses, st)
	}
}

// Commit implements [Store].
func (m *Memory) Commit(ctx context.Context, b *Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx); err != nil {
		return err
	}
	m.delete(b)
	m.put(b)
	m.record(b.Transitions)
	if !b.AliveAt.IsZero() {
		m.aliveAt = b.AliveAt
	}
	return nil
}

func (m *Memory) delete(b *Batch) {
	for _, id := range b.DeleteRegistrations {
		delete(m.registrations, id)
		delete(m.overrides, id)
		delete(m.statuses, id)
	}
	for _, id := range b.DeleteOverrides {
		delete(m.overrides, id)
	}
}

func (m *Memory) put(b *Batch) {
	for _, r := range b.PutRegistrations {
		m.registrations[r.ID] = own(r)
	}
	for _, o := range b.PutOverrides {
		m.overrides[o.ID] = o
	}
	for _, s := range b.PutStatuses {
		if _, known := m.registrations[s.ID]; known {
			m.statuses[s.ID] = s
		}
	}
}

func (m *Memory) record(transitions []Transition) {
	for _, t := range transitions {
		m.lastSeq++
		t.Seq = m.lastSeq
		m.journal = append(m.journal, t)
	}
	if n := len(m.journal) - m.maxTransitions; n > 0 {
		clear(m.journal[:n]) // or their texts would stay until append moves the rest
		m.journal = m.journal[n:]
	}
}

// Transitions implements [Store].
func (m *Memory) Transitions(ctx context.Context, q Query) (Page, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.ready(ctx); err != nil {
		return Page{}, err
	}
	if err := q.Validate(); err != nil {
		return Page{}, err
	}
	var page Page
	for i := m.below(q.Before) - 1; i >= 0; i-- {
		t := &m.journal[i]
		if !q.Matches(t) {
			continue
		}
		if len(page.Transitions) == q.Limit {
			page.Next = page.Transitions[q.Limit-1].Seq
			break
		}
		page.Transitions = append(page.Transitions, *t)
	}
	return page, nil
}

// below counts the transitions with a Seq lower than before, or all for 0.
func (m *Memory) below(before uint64) int {
	if before == 0 {
		return len(m.journal)
	}
	return sort.Search(len(m.journal), func(i int) bool { return m.journal[i].Seq >= before })
}

// Close implements [Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.registrations, m.overrides, m.statuses, m.journal = nil, nil, nil, nil
	return nil
}
