package server

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// blockedBy returns what t waits for, the first cause of it; nil if it may run.
func (t *task) blockedBy() *task {
	for _, b := range t.after {
		switch s := b.machine.Status(); {
		case b.removed:
			continue
		case s == health.NotServing || s == health.Starting:
			if root := b.blockedBy(); root != nil {
				return root
			}
			return b
		}
		if root := b.blockedBy(); root != nil {
			return root
		}
	}
	return nil
}

// hold keeps t from running until what blocks it is better.
func (s *schedule) hold(t *task, now time.Time) {
	t.phase, t.heldAt = blocked, now
	s.soil(t)
	s.fix(t)
}

// ripple looks again at all that comes after t, directly or not. What may run
// now does at once; so does what a breaker holds back.
func (s *schedule) ripple(t *task, now time.Time) {
	if len(t.before) == 0 {
		return
	}
	seen := map[*task]bool{t: true}
	for queue := slices.Clone(t.before); len(queue) > 0; queue = queue[1:] {
		d := queue[0]
		if seen[d] || d.removed {
			continue
		}
		seen[d] = true
		queue = append(queue, d.before...)
		s.soil(d)
		s.release(d, now)
	}
}

func (s *schedule) release(t *task, now time.Time) {
	if t.blockedBy() != nil {
		return
	}
	switch {
	case t.phase == blocked:
		// The time it was not asked is nobody's fault.
		t.machine.Forgive(now.Sub(t.heldAt))
		t.phase, t.next = idle, now
	case t.phase == idle && t.broken():
		t.next = now
	default:
		return
	}
	s.fix(t)
}

// link resolves After of new tasks among themselves and those that are there.
func (s *Server) link(tasks []*task) error {
	byName := make(map[string]*task, len(tasks))
	for _, t := range tasks {
		byName[t.check.Name] = t
	}
	var f faults
	wrong := func(t *task, field, format string, args ...any) {
		var one faults
		one.add(field, format, args...)
		f.errs = append(f.errs, about(&t.check, one.err()))
	}
	for _, t := range tasks {
		t.after = nil
		for i, name := range t.check.After {
			other := byName[name]
			if other == nil {
				other = s.tasks[name]
			}
			if other == nil {
				wrong(t, fmt.Sprintf("After[%d]", i), "there is no check %q", name)
				continue
			}
			t.after = append(t.after, other)
		}
	}
	if f.err() == nil {
		if path := cycle(tasks); path != nil {
			wrong(path[0], "After", "goes in a circle: %s", pathText(path))
		}
	}
	return f.err()
}

// cycle returns a circle among the tasks, its first member at both ends; nil if
// there is none.
func cycle(tasks []*task) []*task {
	const (
		open = 1 + iota
		done
	)
	state := map[*task]int{}
	var path []*task
	var walk func(t *task) []*task
	walk = func(t *task) []*task {
		switch state[t] {
		case done:
			return nil
		case open:
			return append(slices.Clone(path[slices.Index(path, t):]), t)
		}
		state[t], path = open, append(path, t)
		for _, next := range t.after {
			if found := walk(next); found != nil {
				return found
			}
		}
		state[t], path = done, path[:len(path)-1]
		return nil
	}
	for _, t := range tasks {
		if found := walk(t); found != nil {
			return found
		}
	}
	return nil
}

func pathText(path []*task) string {
	names := make([]string, len(path))
	for i, t := range path {
		names[i] = t.check.Name
	}
	return strings.Join(names, " after ")
}

// unlink takes t, which is removed, out of the order of others.
func (s *schedule) unlink(t *task, now time.Time) {
	gone := func(o *task) bool { return o == t }
	for _, b := range t.after {
		b.before = slices.DeleteFunc(b.before, gone)
	}
	s.ripple(t, now)
	for _, d := range t.before {
		d.after = slices.DeleteFunc(d.after, gone)
	}
	t.after, t.before = nil, nil
}
