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
	all := make([]rules, len(checks))
	var errs []error
	for i := range checks {
		all[i] = checks[i].rules()
		if err := checks[i].validate(&all[i]); err != nil {
			errs = append(errs, about(checks[i].Name, err))
		}
	}
	var err error
	s.update(func(now time.Time) { err = s.add(checks, all, errs, now) })
	s.poke()
	return err
}

// about says which check an error is about.
func about(name string, err error) error {
	return fmt.Errorf("server.Check %q: %w", wire.CleanTo(name, wire.MaxName), err)
}

// add takes in checks with these rules, unless errs or more is wrong with them.
func (s *Server) add(checks []Check, all []rules, errs []error, now time.Time) error {
	tasks := make([]*task, len(checks))
	for i := range checks {
		tasks[i] = s.task(&checks[i], all[i])
	}
	if err := errors.Join(append(errs, s.taken(tasks), s.link(tasks, checks))...); err != nil {
		return err
	}
	newcomer := s.boards[0].published.Status.Routable()
	for _, t := range tasks {
		t.machine, t.newcomer = health.NewMachine(&t.rules.policy, now), newcomer
		s.tasks[t.name] = t
		for _, b := range t.tied().after {
			b.tie().before = append(b.tie().before, t)
		}
		s.show(t)
		s.schedule.add(t, now)
	}
	return nil
}

func (s *Server) task(c *Check, r rules) *task {
	t := &task{name: c.Name, run: c.Run, rules: s.rules.get(r)}
	if len(c.Tags) > 0 {
		t.tie().tags = slices.Clone(c.Tags)
	}
	return t
}

// taken reports every name that is not free.
func (s *Server) taken(tasks []*task) error {
	if len(s.tasks)+len(tasks) > MaxChecks {
		return about(tasks[0].name, ErrTooManyChecks)
	}
	var errs []error
	names := make(map[string]bool, len(tasks))
	for _, t := range tasks {
		if s.tasks[t.name] != nil || names[t.name] {
			errs = append(errs, about(t.name, ErrCheckExists))
		}
		names[t.name] = true
	}
	return errors.Join(errs...)
}

// show puts t under every name it belongs to.
func (s *Server) show(t *task) {
	if len(s.boards) == 1 {
		t.boards = s.boards
	}
	for _, b := range s.boards {
		if b.takes != nil && !b.takes(t) {
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
		for _, tag := range t.tied().tags {
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
