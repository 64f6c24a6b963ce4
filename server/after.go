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
	for _, b := range t.tied().after {
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
	t.phase, t.tie().heldAt = blocked, now
	s.soil(t)
	s.fix(t)
}

// ripple looks again at all that comes after t, directly or not. What may run
// now does at once; so does what a breaker holds back.
func (s *schedule) ripple(t *task, now time.Time) {
	before := t.tied().before
	if len(before) == 0 {
		return
	}
	seen := map[*task]bool{t: true}
	for queue := slices.Clone(before); len(queue) > 0; queue = queue[1:] {
		d := queue[0]
		if seen[d] || d.removed {
			continue
		}
		seen[d] = true
		queue = append(queue, d.tied().before...)
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
		t.machine.Forgive(now.Sub(t.ties.heldAt))
		t.phase, t.next = idle, s.at(now)
	case t.phase == idle && t.broken():
		t.next = s.at(now)
	default:
		return
	}
	s.fix(t)
}

// link resolves After of new tasks, made of these checks, among themselves and
// those that are there.
func (s *Server) link(tasks []*task, checks []Check) error {
	byName := make(map[string]*task, len(tasks))
	for _, t := range tasks {
		byName[t.name] = t
	}
	var f faults
	wrong := func(t *task, field, format string, args ...any) {
		var one faults
		one.add(field, format, args...)
		f.errs = append(f.errs, about(t.name, one.err()))
	}
	for i, t := range tasks {
		for j, name := range checks[i].After {
			other := byName[name]
			if other == nil {
				other = s.tasks[name]
			}
			if other == nil {
				wrong(t, fmt.Sprintf("After[%d]", j), "there is no check %q", name)
				continue
			}
			t.tie().after = append(t.tie().after, other)
		}
	}
	if path := cycle(tasks); path != nil {
		wrong(path[0], "After", "goes in a circle: %s", pathText(path))
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
		for _, next := range t.tied().after {
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
		names[i] = t.name
	}
	return strings.Join(names, " after ")
}

// unlink takes t, which is removed, out of the order of others.
func (s *schedule) unlink(t *task, now time.Time) {
	if t.ties == nil {
		return
	}
	gone := func(o *task) bool { return o == t }
	for _, b := range t.ties.after {
		b.ties.before = slices.DeleteFunc(b.ties.before, gone)
	}
	s.ripple(t, now)
	for _, d := range t.ties.before {
		d.ties.after = slices.DeleteFunc(d.ties.after, gone)
	}
	t.ties.after, t.ties.before = nil, nil
}
