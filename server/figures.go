package server

import (
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// recentRuns is how many runs the response times speak of.
const recentRuns = 256

// totals are the figures of all checks since the start.
type totals struct {
	runs, failures uint64
	times          [recentRuns]time.Duration // a ring
}

func (t *totals) add(took time.Duration, failed bool) {
	t.times[t.runs%recentRuns] = took
	t.runs++
	if failed {
		t.failures++
	}
}

// metrics takes a copy of the totals, so that sorting needs no lock.
func (t totals) metrics() *health.Metrics {
	times := t.times[:min(t.runs, recentRuns)]
	slices.Sort(times)
	return &health.Metrics{
		Runs: t.runs, Failures: t.failures,
		ResponseTimeP50: quantile(times, 50), ResponseTimeP99: quantile(times, 99),
	}
}

// quantile returns the nearest rank of sorted times, 0 if there are none.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// figures returns the current figures, for Check and List.
func (s *Server) figures(id health.ID) ([]health.CheckState, *health.Metrics) {
	s.mu.Lock()
	b := s.names[id]
	if b == nil {
		s.mu.Unlock()
		return nil, nil
	}
	checks, totals := b.states(&s.bad), s.schedule.totals
	s.mu.Unlock()
	return checks, totals.metrics()
}
