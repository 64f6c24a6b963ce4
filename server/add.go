package server

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Add takes in checks, all or none. Before Run they wait for it; later their
// first run is at once, or after InitialDelay. A check added while the service
// is routable does not take it out for want of a first run. The error says
// everything that is wrong, by check and field.
func (s *Server) Add(checks ...Check) error {
	tasks := make([]*task, len(checks))
	var errs []error
	for i := range checks {
		c := checks[i]
		c.setDefaults()
		if err := c.validate(); err != nil {
			errs = append(errs, about(&c, err))
		}
		tasks[i] = &task{check: c}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var err error
	s.update(func(now time.Time) { err = s.add(tasks, now) })
	s.poke()
	return err
}

func about(c *Check, err error) error {
	return fmt.Errorf("server.Check %q: %w", wire.CleanTo(c.Name, wire.MaxName), err)
}

func (s *Server) add(tasks []*task, now time.Time) error {
	if err := s.taken(tasks); err != nil {
		return err
	}
	if err := s.link(tasks); err != nil {
		return err
	}
	newcomer := s.boards[0].published.Status.Routable()
	for _, t := range tasks {
		t.machine, t.newcomer = health.NewMachine(t.check.policy(), now), newcomer
		s.tasks[t.check.Name] = t
		for _, b := range t.after {
			b.before = append(b.before, t)
		}
		s.show(t)
		s.schedule.add(t, now)
	}
	return nil
}

// taken reports every name that is not free.
func (s *Server) taken(tasks []*task) error {
	if len(s.tasks)+len(tasks) > MaxChecks {
		return about(&tasks[0].check, ErrTooManyChecks)
	}
	var errs []error
	names := make(map[string]bool, len(tasks))
	for _, t := range tasks {
		if name := t.check.Name; s.tasks[name] != nil || names[name] {
			errs = append(errs, about(&t.check, ErrCheckExists))
		}
		names[t.check.Name] = true
	}
	return errors.Join(errs...)
}

// show puts t under every name it belongs to.
func (s *Server) show(t *task) {
	if len(s.boards) == 1 {
		t.boards = s.boards
	}
	for _, b := range s.boards {
		if b.takes != nil && !b.takes(&t.check) {
			continue
		}
		b.members = append(b.members, t)
		if len(s.boards) > 1 {
			t.boards = append(t.boards, b)
		}
	}
}

// Remove takes checks out, and returns how many of these names there were. If
// one runs, its context is cancelled and what it returns counts no more.
func (s *Server) Remove(names ...string) (removed int) {
	s.update(func(now time.Time) {
		touched := map[*board]bool{}
		for _, name := range names {
			t := s.tasks[name]
			if t == nil {
				continue
			}
			removed++
			delete(s.tasks, name)
			s.schedule.remove(t, now)
			for _, b := range t.boards {
				touched[b] = true
			}
		}
		for b := range touched {
			b.members = slices.DeleteFunc(b.members, func(t *task) bool { return t.removed })
		}
	})
	s.poke()
	return removed
}

// meaningless reports what Config.Services names though there is no such check.
func (s *Server) meaningless() error {
	var f faults
	s.mu.Lock()
	defer s.mu.Unlock()
	tags := map[string]bool{}
	for _, t := range s.tasks {
		for _, tag := range t.check.Tags {
			tags[tag] = true
		}
	}
	for i := range s.cfg.Services {
		for j, name := range s.cfg.Services[i].Checks {
			if s.tasks[name] == nil {
				f.add(fmt.Sprintf("Services[%d].Checks[%d]", i, j), "there is no check %q", name)
			}
		}
		for j, tag := range s.cfg.Services[i].Tags {
			if !tags[tag] {
				f.add(fmt.Sprintf("Services[%d].Tags[%d]", i, j), "no check has the tag %q", tag)
			}
		}
	}
	return f.err()
}
