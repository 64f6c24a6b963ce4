package follow

import (
	"context"
	"sync"
	"time"
)

// streamMonitor ends the open stream of a follower when it is silent for too long, and
// starts probes of streams without heartbeats. The manager calls check once a second for
// each follower. The methods may be called concurrently.
type streamMonitor struct {
	mu   sync.Mutex
	open *monitoredStream // the open stream; nil if no stream is open
}

// monitoredStream holds the limits of an open stream, and when its last message came.
type monitoredStream struct {
	limit   time.Duration // longest time without a message; 0: no limit, because probes ask for signs of life
	heardAt time.Time     // time at which the last sign of life came
	// forgiven is the part of the time since heardAt in which the coordinator itself was
	// late. longestLate is the longest single lateness in this time.
	forgiven, longestLate time.Duration
	// end ends the stream: with errSilent after a silence longer than limit, or with
	// errTryBetter when the time until has come.
	end   context.CancelCauseFunc
	until time.Time // time at which a better protocol is tried; zero: never
	// probe asks the target for a sign of life. It is nil if the stream has heartbeats.
	probe      func()
	probeEvery time.Duration
	probeAt    time.Time
}

// watch monitors a stream that opens now, until the caller calls done.
func (m *streamMonitor) watch(s *monitoredStream) (done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.heardAt = time.Now()
	m.open = s
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.open = nil
	}
}

// heard records that a message or another sign of life has just come.
func (m *streamMonitor) heard() {
	m.update(func(s *monitoredStream) { s.heardAt, s.forgiven, s.longestLate = time.Now(), 0, 0 })
}

// setLimit sets the longest time without a sign of life from now on; 0 means no limit.
func (m *streamMonitor) setLimit(limit time.Duration) {
	m.update(func(s *monitoredStream) { s.limit = limit })
}

// probeIn plans the next probe for the time d from now.
func (m *streamMonitor) probeIn(d time.Duration) {
	m.update(func(s *monitoredStream) { s.probeAt = time.Now().Add(d) })
}

func (m *streamMonitor) update(change func(*monitoredStream)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open != nil {
		change(m.open)
	}
}

// check ends the stream or starts a probe, if either is due. late is how late the caller
// itself is; 0 if it is not.
func (m *streamMonitor) check(now time.Time, late time.Duration) {
	m.mu.Lock()
	end, probe, why := m.open.nextAction(now, late)
	m.mu.Unlock()
	if end != nil {
		end(why)
	}
	if probe != nil {
		probe()
	}
}

// nextAction returns the function end or probe that must be called now, or neither. While the
// coordinator is late, it does not end a stream for silence, because messages may have arrived
// that no goroutine has read yet. s may be nil.
func (s *monitoredStream) nextAction(now time.Time, late time.Duration) (end context.CancelCauseFunc, probe func(), why error) {
	switch {
	case s == nil:
	case late > 0:
		s.forgive(late)
	case s.limit > 0 && now.Sub(s.heardAt)-s.forgiven >= s.limit:
		return s.end, nil, errSilent
	case !s.until.IsZero() && now.After(s.until):
		return s.end, nil, errTryBetter
	case s.probe != nil && !now.Before(s.probeAt):
		s.probeAt = now.Add(s.probeEvery)
		return nil, s.probe, nil
	}
	return nil, nil, nil
}

// forgive subtracts the lateness of the coordinator from the silence of the stream. The total
// of repeated lateness is forgiven only up to the limit. So a silent stream is found after
// twice the limit at the latest, unless a single lateness was longer.
func (s *monitoredStream) forgive(late time.Duration) {
	s.longestLate = max(s.longestLate, late)
	s.forgiven = min(s.forgiven+late, max(s.limit, s.longestLate))
}
