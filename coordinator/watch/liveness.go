package watch

import (
	"context"
	"time"
)

// lateSlack is how late the look at the followers may come without being
// called late.
const lateSlack = 500 * time.Millisecond

// listen looks every second for streams that have gone silent, and for stock
// ones whose next Check is due. There is one timer for all of them.
func (w *Watcher) listen(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		late := now.Sub(last) - time.Second
		last = now
		for _, f := range w.all() {
			f.look(now, late > lateSlack)
		}
		if late <= lateSlack {
			w.tellNeglected(ctx, now)
		}
	}
}

func (w *Watcher) all() []*follower {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*follower, 0, len(w.followers))
	for _, f := range w.followers {
		all = append(all, f)
	}
	return all
}

// silence is the time since something was heard of an open stream.
type silence struct {
	limit time.Duration
	since time.Time
	// end ends the stream, with errSilent.
	end context.CancelCauseFunc
	// probe asks for a sign of life; nil if the stream itself gives them.
	probe   func()
	every   time.Duration
	probeAt time.Time
}

// look ends a stream that was silent for too long. When we are late ourselves
// nothing is held against it: what it sent is still on its way to us.
func (f *follower) look(now time.Time, late bool) {
	f.mu.Lock()
	end, probe := f.due(now, late)
	f.mu.Unlock()
	if end != nil {
		end(errSilent)
	}
	if probe != nil {
		probe()
	}
}

func (f *follower) due(now time.Time, late bool) (end context.CancelCauseFunc, probe func()) {
	s := f.silence
	switch {
	case s == nil:
	case late:
		s.since = now
	case s.probe == nil && now.Sub(s.since) >= s.limit:
		end = s.end
	case s.probe != nil && !now.Before(s.probeAt):
		s.probeAt = now.Add(s.every)
		probe = s.probe
	}
	return end, probe
}

// heard notes a sign of life.
func (f *follower) heard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silence != nil {
		f.silence.since = time.Now()
	}
}

// listening makes s what is looked at until the returned function is called.
func (f *follower) listening(s *silence) (done func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.since = time.Now()
	f.silence = s
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.silence = nil
	}
}
