package server

import (
	"math"
	"slices"
	"time"
)

// DefaultHistory is how many runs of each check are remembered.
const DefaultHistory = 8

// maxHistory bounds Config.History.
const maxHistory = 1000

// PastRun is what one run of a check came to.
type PastRun struct {
	At     time.Time // when it ended, or was given up
	Took   time.Duration
	Result Result
	Reason string // of warnings and failures
}

// pastRun is a PastRun in little space.
type pastRun struct {
	at     int64   // Unix time in ns
	reason *string // nil: none
	took   uint32  // in µs
	result Result
}

// history is a ring of the last runs, which grows as they come.
type history struct {
	runs []pastRun
	next int // the oldest, once it is full
}

func (h *history) add(r *result, took time.Duration, now time.Time, most int) {
	if most <= 0 {
		return
	}
	p := pastRun{at: now.UnixNano(), took: uint32(min(took.Microseconds(), math.MaxUint32)), result: resultOf(r)}
	if r.reason != "" {
		reason := r.reason // the rest of r is not kept
		p.reason = &reason
	}
	if len(h.runs) < most {
		h.runs = append(h.runs, p)
		return
	}
	h.runs[h.next] = p
	h.next = (h.next + 1) % len(h.runs)
}

// all returns the runs, the oldest first.
func (h *history) all() []PastRun {
	var all []PastRun
	for _, p := range slices.Concat(h.runs[h.next:], h.runs[:h.next]) {
		run := PastRun{At: time.Unix(0, p.at), Took: time.Duration(p.took) * time.Microsecond, Result: p.result}
		if p.reason != nil {
			run.Reason = *p.reason
		}
		all = append(all, run)
	}
	return all
}

// History returns the last runs of a check, the oldest first: as many as
// Config.History says. It is nil if there is no such check, or no run.
func (s *Server) History(check string) []PastRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[check]
	if t == nil {
		return nil
	}
	return t.history.all()
}
