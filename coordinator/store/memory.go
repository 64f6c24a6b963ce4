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

// Memory is a store without a file: its records are lost when the process ends. Its methods
// may be called concurrently.
type Memory struct {
	maxTransitions int

	mu            sync.RWMutex // guards the fields below
	closed        bool
	registrations map[health.ID]Registration
	overrides     map[string]Override // overrides by the text of their scope
	statuses      map[health.ID]Status
	positions     map[string]uint64 // Seq up to which each consumer has processed the journal, by the name of the consumer
	journal       []Transition      // transitions in the order of their Seq
	times         TimeIndex         // times of the transitions in the journal
	lastSeq       uint64
	lastBatch     uint64
	aliveAt       time.Time
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store. maxTransitions is the largest number of transitions in its
// journal: 0 means DefaultTransitions, and a negative number means none.
func NewMemory(maxTransitions int) *Memory {
	return &Memory{
		maxTransitions: JournalBound(maxTransitions),
		registrations:  map[health.ID]Registration{},
		overrides:      map[string]Override{},
		statuses:       map[health.ID]Status{},
		positions:      map[string]uint64{},
	}
}

// checkOpen returns an error if the store is closed or ctx has ended. The caller must hold m.mu.
func (m *Memory) checkOpen(ctx context.Context) error {
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context) (State, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.checkOpen(ctx); err != nil {
		return State{}, err
	}
	s := State{AliveAt: m.aliveAt, LastBatch: m.lastBatch}
	for _, r := range m.registrations {
		s.Registrations = append(s.Registrations, cloneRegistration(r))
	}
	s.Overrides = slices.AppendSeq(s.Overrides, maps.Values(m.overrides))
	s.Statuses = slices.AppendSeq(s.Statuses, maps.Values(m.statuses))
	for consumer, seq := range m.positions {
		s.Positions = append(s.Positions, Position{consumer, seq})
	}
	return s, nil
}

// cloneRegistration returns a copy that shares no memory with r.
func cloneRegistration(r Registration) Registration {
	r.Labels, r.Key = maps.Clone(r.Labels), slices.Clone(r.Key)
	if r.Judge != nil {
		judge := *r.Judge
		r.Judge = &judge
	}
	if r.Traffic != nil {
		traffic := *r.Traffic
		traffic.TLSNames = slices.Clone(traffic.TLSNames)
		r.Traffic = &traffic
	}
	return r
}

// Lookup implements [Store].
func (m *Memory) Lookup(ctx context.Context, ids []health.ID) (State, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.checkOpen(ctx); err != nil {
		return State{}, err
	}
	s := State{AliveAt: m.aliveAt, LastBatch: m.lastBatch}
	found := map[health.ID]bool{}
	for _, id := range ids {
		if !found[id] {
			found[id] = true
			m.appendRecordsOf(&s, id)
		}
	}
	return s, nil
}

func (m *Memory) appendRecordsOf(s *State, id health.ID) {
	if r, ok := m.registrations[id]; ok {
		s.Registrations = append(s.Registrations, cloneRegistration(r))
	}
	if o, ok := m.overrides[id.String()]; ok {
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
	if err := m.checkOpen(ctx); err != nil {
		return err
	}
	positions, err := m.positionsAfter(b)
	if err != nil {
		return err
	}
	m.positions, m.lastBatch = positions, b.ID
	m.deleteRecords(b)
	m.putRecords(b)
	m.appendTransitions(b.Transitions)
	if !b.AliveAt.IsZero() {
		m.aliveAt = b.AliveAt
	}
	return nil
}

// positionsAfter returns the positions that the store will have after a commit of b.
func (m *Memory) positionsAfter(b *Batch) (map[string]uint64, error) {
	if len(b.DeletePositions)+len(b.PutPositions) == 0 {
		return m.positions, nil
	}
	positions := maps.Clone(m.positions)
	for _, consumer := range b.DeletePositions {
		delete(positions, consumer)
	}
	for i := range b.PutPositions {
		p := &b.PutPositions[i]
		if err := p.Validate(m.lastSeq + uint64(len(b.Transitions))); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		positions[p.Consumer] = p.Seq
	}
	if err := CheckConsumers(len(positions)); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return positions, nil
}

func (m *Memory) deleteRecords(b *Batch) {
	for _, id := range b.DeleteRegistrations {
		delete(m.registrations, id)
		delete(m.statuses, id)
	}
	for _, scope := range b.DeleteOverrides {
		delete(m.overrides, scope)
	}
}

func (m *Memory) putRecords(b *Batch) {
	for _, r := range b.PutRegistrations {
		m.registrations[r.ID] = cloneRegistration(r)
	}
	for _, o := range b.PutOverrides {
		m.overrides[o.Scope] = o
	}
	for _, s := range b.PutStatuses {
		if _, known := m.registrations[s.ID]; known {
			m.statuses[s.ID] = s
		}
	}
}

func (m *Memory) appendTransitions(transitions []Transition) {
	for _, t := range transitions {
		m.lastSeq++
		t.Seq = m.lastSeq
		m.times.Add(&t)
		m.journal = append(m.journal, t)
	}
	if n := len(m.journal) - m.maxTransitions; n > 0 {
		clear(m.journal[:n]) // so that the memory of the dropped transitions is free at once
		m.journal = m.journal[n:]
		m.times.Drop(m.lastSeq + 1 - uint64(len(m.journal)))
	}
}

// Transitions implements [Store].
func (m *Memory) Transitions(ctx context.Context, q Query) (Page, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.checkOpen(ctx); err != nil {
		return Page{}, err
	}
	if err := q.Validate(); err != nil {
		return Page{}, err
	}
	return ReadPage(&memoryCursor{journal: m.journal, query: &q}, &q, &m.times)
}

// memoryCursor is a JournalCursor of a Memory.
type memoryCursor struct {
	journal []Transition
	query   *Query
	at      int // index of the transition at the cursor
}

// Seek implements [JournalCursor].
func (c *memoryCursor) Seek(seq uint64, forward bool) uint64 {
	c.at = sort.Search(len(c.journal), func(i int) bool { return c.journal[i].Seq >= seq })
	if !forward && (c.at == len(c.journal) || c.journal[c.at].Seq > seq) {
		c.at--
	}
	return c.seq()
}

// Step implements [JournalCursor].
func (c *memoryCursor) Step(forward bool) uint64 {
	if c.at++; !forward {
		c.at -= 2
	}
	return c.seq()
}

func (c *memoryCursor) seq() uint64 {
	if c.at < 0 || c.at >= len(c.journal) {
		return 0
	}
	return c.journal[c.at].Seq
}

// Selected implements [JournalCursor].
func (c *memoryCursor) Selected() bool { return c.query.Matches(&c.journal[c.at]) }

// Read implements [JournalCursor].
func (c *memoryCursor) Read() (Transition, error) { return c.journal[c.at], nil }

// TimeBefore implements [JournalCursor].
func (c *memoryCursor) TimeBefore() (at time.Time, ok bool, err error) {
	if c.at == 0 {
		return time.Time{}, false, nil
	}
	return c.journal[c.at-1].At, true, nil
}

// countBefore returns the number of transitions whose Seq is lower than seq. If seq is 0, it
// returns the number of all transitions.
func (m *Memory) countBefore(seq uint64) int {
	if seq == 0 {
		return len(m.journal)
	}
	return sort.Search(len(m.journal), func(i int) bool { return m.journal[i].Seq >= seq })
}

// TransitionsAfter implements [Store].
func (m *Memory) TransitionsAfter(ctx context.Context, c Cursor) (Segment, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.checkOpen(ctx); err != nil {
		return Segment{}, err
	}
	if err := c.Validate(m.lastSeq); err != nil {
		return Segment{}, err
	}
	rest := m.journal[m.countBefore(c.After+1):]
	return NewSegment(c, slices.Clone(rest[:min(len(rest), c.Limit)]), m.lastSeq), nil
}

// Position implements [Store].
func (m *Memory) Position(ctx context.Context, consumer string) (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.checkOpen(ctx); err != nil {
		return 0, err
	}
	return m.positions[consumer], nil
}

// Close implements [Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.registrations, m.overrides, m.statuses, m.positions, m.journal = nil, nil, nil, nil, nil
	return nil
}
