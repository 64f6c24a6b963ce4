package server

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// beatEvery is the feed's beat.
	beatEvery = time.Second
	// together is what is due within so long of each other: the scheduler wakes
	// once for it, however many checks there are.
	together = time.Millisecond
)

// Run runs the checks until ctx ends: all of them at once, then each at its
// own time. It returns nil when they have returned, ErrStuck with the names of
// those that have not and are left behind, ErrRanTwice, or at once what is
// wrong with Config.Services: all of it that means no check. When ctx
// ends without Drain the status becomes DRAINING: nothing looks after it any
// more.
func (s *Server) Run(ctx context.Context) error {
	if err := s.meaningless(); err != nil {
		return fmt.Errorf("server.Config: %w", err)
	}
	stopTelling := s.telling()
	if !s.open() {
		stopTelling()
		return ErrRanTwice
	}
	s.loop(ctx)
	left := s.close()
	stopTelling()
	return s.join(left)
}

func (s *Server) open() (first bool) {
	s.update(func(time.Time) {
		first = !s.schedule.started
		s.schedule.started = true
		s.touched = true
	})
	return first
}

// loop is the scheduler.
func (s *Server) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	beat := time.Now().Add(beatEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(beat) {
			s.feed.Beat()
			beat = now.Add(beatEvery)
		}
		timer.Reset(max(time.Until(s.step(ctx, now, beat)), together))
	}
}

// step does what is due and returns when to come again, by beat at the latest.
func (s *Server) step(ctx context.Context, now, beat time.Time) time.Time {
	s.mu.Lock()
	s.schedule.step(now, beat)
	changes, _ := s.refreshSoon(now)
	next := s.schedule.armed
	if due := s.newsDue; !due.IsZero() && due.Before(next) {
		next = due
	}
	call := s.schedule.callWorker()
	s.mu.Unlock()
	s.log(changes)
	if call {
		go s.work(ctx)
	}
	return next
}

// close ends the schedule and returns what still runs, and until when to wait
// for it.
func (s *Server) close() map[*run]time.Time {
	left := map[*run]time.Time{}
	s.update(func(time.Time) {
		s.schedule.closed, s.leaving, s.touched = true, true, true
		for _, d := range s.schedule.tasks {
			if r := d.task.current; d.task.phase == running {
				r.done = make(chan struct{})
				left[r] = r.overdue
			}
		}
	})
	return left
}

// join waits for runs, whose contexts have ended, no longer than they were
// given anyway.
func (s *Server) join(left map[*run]time.Time) error {
	long := s.stuck()
	var names []string
	for r, overdue := range left {
		if !doneBy(r.done, overdue) {
			names = append(names, r.name)
		}
	}
	return errors.Join(long, stuckError(append(names, s.leaveAlone()...)))
}

// doneBy waits for done, but not for long.
func doneBy(done <-chan struct{}, deadline time.Time) bool {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	}
	// Both may have come.
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// poke makes the scheduler look again.
func (s *Server) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
