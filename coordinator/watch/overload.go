package watch

import (
	"context"
	"time"
)

// Coverage returns how much of what was to be polled within the last 30 s was
// polled, from 0 to 1; 1 if there was nothing. Below it, everybody is asked less
// often than is configured, by as much.
func (w *Watcher) Coverage() float64 { return w.wheel.covered(time.Now()) }

func (w *wheel) covered(now time.Time) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var wanted time.Duration
	for lane := range w.waiting {
		q := &w.waiting[lane]
		for _, s := range q.items[q.first:] {
			if late := now.Sub(s.due); s.phase == phaseWaiting && late >= w.slack {
				wanted += w.coverage.waits(s.planned, late)
			}
		}
	}
	return w.coverage.ratio(now, wanted)
}

// noteLate notes that we ourselves come late. The lock is held.
func (w *wheel) noteLate(now time.Time) {
	if !w.armed.IsZero() && now.Sub(w.armed) > lateSlack {
		w.lateAt = now
	}
}

// wasLate reports whether a wait that began at since may have ended in vain
// because of us.
func (w *wheel) wasLate(since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLate(time.Now())
	return w.lateAt.After(since)
}

// tellNeglected tells of those that we have not asked for so long that what they
// said last need not hold any more. That is our doing, and nothing against them.
func (w *Watcher) tellNeglected(ctx context.Context, now time.Time) {
	limit := max(3*w.cfg.pace(w.cfg.PollEvery), w.cfg.UnreachableAfter)
	all := w.wheel.neglected(now, limit)
	for _, s := range all {
		s.unasked(ctx, limit)
	}
	w.wheel.putBack(all)
}

// neglected takes those out of the queues that were not asked for so long and of
// whom that was not told yet: while it is told they are not asked, or what they
// answer could be told before. putBack must follow.
func (w *wheel) neglected(now time.Time, limit time.Duration) (all []*spoke) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for lane := range w.waiting {
		all = append(all, w.waiting[lane].cut(func(s *spoke) bool {
			return !s.neglected && now.Sub(s.asked) >= limit
		})...)
	}
	for _, s := range all {
		s.phase, s.neglected = phaseRunning, true
	}
	return all
}

func (w *wheel) putBack(all []*spoke) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var back [len(w.waiting)][]*spoke
	for _, s := range all {
		if s.leaves {
			s.goes()
			continue
		}
		lane := s.wait()
		back[lane] = append(back[lane], s)
	}
	for lane := range back {
		w.waiting[lane].putBack(back[lane])
	}
	w.call()
}
