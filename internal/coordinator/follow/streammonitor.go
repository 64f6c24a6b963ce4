package follow

import (
	"context"
	"sync"
	"time"
)

// streamMonitor ends the open stream of a follower when the stream is silent for too long. For
// a stream without heartbeats, it starts probes, which are Checks of the target. The manager
// calls the method check once a second for each follower. The methods may be called
// concurrently.
type streamMonitor struct {
	mu   sync.Mutex
	open *monitoredStream // the open stream; nil if no stream is open
}

// monitoredStream says when an open stream must be ended or probed, and when its last message
// came.
type monitoredStream struct {
	limit   time.Duration // longest time without a message; 0: no limit, because probes find out whether the target answers
	heardAt time.Time     // time at which the last message came, or the stream opened
	// forgiven is the part of the time since heardAt in which the coordinator itself was
	// late. longestLate is the longest single lateness in this time.
	forgiven, longestLate time.Duration
	// end ends the stream. Its argument is errSilent after a silence longer than limit, or
	// errTryBetter at the time tryBetterAt.
	end         context.CancelCauseFunc
	tryBetterAt time.Time // time at which the stream ends so that a better protocol is tried; zero: never
	// probe finds out by a Check whether the target still answers. It is nil if the stream has
	// heartbeats.
	probe      func()
	probeEvery time.Duration
	probeAt    time.Time
}

// watch begins to monitor a stream that opens now. The caller must call done when the stream ends.
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

// heard records that a message has just come on the open stream.
func (m *streamMonitor) heard() {
	m.update(func(s *monitoredStream) { s.heardAt, s.forgiven, s.longestLate = time.Now(), 0, 0 })
}

// setLimit sets the longest time without a message for the open stream; 0 means no limit.
func (m *streamMonitor) setLimit(limit time.Duration) {
	m.update(func(s *monitoredStream) { s.limit = limit })
}

// probeIn plans that the next probe begins after the delay d.
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

// check ends the stream or starts a probe, if one of these actions is due. late is how late the
// caller itself runs; it is 0 if the caller runs in time.
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
// that no goroutine has read yet. why is the argument for end. s may be nil.
func (s *monitoredStream) nextAction(now time.Time, late time.Duration) (end context.CancelCauseFunc, probe func(), why error) {
	switch {
	case s == nil:
	case late > 0:
		s.forgive(late)
	case s.limit > 0 && now.Sub(s.heardAt)-s.forgiven >= s.limit:
		return s.end, nil, errSilent
	case !s.tryBetterAt.IsZero() && now.After(s.tryBetterAt):
		return s.end, nil, errTryBetter
	case s.probe != nil && !now.Before(s.probeAt):
		s.probeAt = now.Add(s.probeEvery)
		return nil, s.probe, nil
	}
	return nil, nil, nil
}

// forgive subtracts the lateness of the coordinator from the silence of the stream. It
// subtracts at most the duration in the field limit, or the longest single lateness if that is
// longer. So a silent stream is found after twice the duration limit at the latest, unless a
// single lateness was longer than limit.
func (s *monitoredStream) forgive(late time.Duration) {
	s.longestLate = max(s.longestLate, late)
	s.forgiven = min(s.forgiven+late, max(s.limit, s.longestLate))
}
