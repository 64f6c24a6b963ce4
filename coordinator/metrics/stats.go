package metrics

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Stats is what the feed does not tell.
type Stats struct {
	// Watchers is the number of open Watch streams.
	Watchers int
	// Followers is how many instances are followed, by mode: the names of
	// health.Source. Modes that are missing show as 0.
	Followers map[string]int
	// QueueWaiting is how many transitions wait for the store, QueueLost how
	// many were dropped since the start.
	QueueWaiting int
	QueueLost    uint64
	// LateWakes is how often the owner was late since the start, LateAt when it
	// last was; zero if never.
	LateWakes uint64
	LateAt    time.Time
	// Guards is how many mass-failure guards are tripped.
	Guards int
	// Overrides is how many are set.
	Overrides int
	// Score is how badly the coordinator is itself, from 0 to 7.
	Score int
	// Coverage is how much of what was to be polled was, from 0 to 1.
	Coverage float64
	// Breakers is how many addresses there are by the state of their breaker;
	// states that are missing show as 0.
	Breakers map[string]int
	// Retries is how often a call to a target was made again since the start,
	// RetriesDenied how often the budget did not allow that.
	Retries, RetriesDenied uint64
}

// breakerStates are those that are shown, so that the label stays bounded.
func breakerStates() []string { return []string{"closed", "open", "half-open"} }

func (m *Metrics) collectStats(out sink) {
	if m.cfg.Stats == nil {
		return
	}
	s := m.cfg.Stats()
	out.gauge(watchers, float64(s.Watchers))
	for mode, n := range s.followers() {
		out.gauge(followers, float64(n), mode)
	}
	out.gauge(storeWaiting, float64(s.QueueWaiting))
	out.counter(storeLost, float64(s.QueueLost))
	out.counter(lateWakes, float64(s.LateWakes))
	out.gauge(guards, float64(s.Guards))
	out.gauge(score, float64(s.Score))
	out.gauge(overrides, float64(s.Overrides))
	s.collectWatch(out)
	if !s.LateAt.IsZero() {
		out.gauge(lastLateWake, float64(s.LateAt.UnixMilli())/1000)
	}
}

// collectWatch sends what the followers tell of themselves.
func (s *Stats) collectWatch(out sink) {
	out.gauge(coverage, s.Coverage)
	for _, state := range breakerStates() {
		out.gauge(breakers, float64(s.Breakers[state]), state)
	}
	out.counter(retries, float64(s.Retries))
	out.counter(retriesDenied, float64(s.RetriesDenied))
}

// followers has every mode there is. Others are not shown: the label stays
// bounded whatever the caller does.
func (s *Stats) followers() map[string]int {
	all := map[string]int{}
	for mode := health.SourceNone; mode <= health.SourcePoll; mode++ {
		all[mode.String()] = s.Followers[mode.String()]
	}
	return all
}
