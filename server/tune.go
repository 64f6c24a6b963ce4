package server

import (
	"errors"
	"time"
)

// ErrNoCheck: there is no check of this name.
var ErrNoCheck = errors.New("there is no check of this name")

// Tuning is what can be changed of a check while it runs. A zero field leaves
// what is there. Any configuration library can fill it.
type Tuning struct {
	Every, Timeout                        time.Duration
	FailAfter, RecoverAfter, DegradeAfter int
	BreakAfter                            int
	MinHold, StaleAfter                   time.Duration
}

// Tune changes checks by name, all or none; the error says everything that is
// wrong. Status and counts stay, and so does the time of the next run.
func (s *Server) Tune(by map[string]Tuning) error {
	var err error
	s.update(func(time.Time) { err = s.tune(by) })
	return err
}

func (s *Server) tune(by map[string]Tuning) error {
	tuned := make(map[*task]Check, len(by))
	var errs []error
	for name, tuning := range by {
		t := s.tasks[name]
		if t == nil {
			errs = append(errs, about(&Check{Name: name}, ErrNoCheck))
			continue
		}
		c := t.check
		tuning.apply(&c)
		if err := c.validate(); err != nil {
			errs = append(errs, about(&c, err))
		}
		tuned[t] = c
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for t, c := range tuned {
		t.check = c
		t.machine.Retune(c.policy())
	}
	return nil
}

func (u *Tuning) apply(c *Check) {
	for _, d := range []struct {
		from time.Duration
		to   *time.Duration
	}{{u.Every, &c.Every}, {u.Timeout, &c.Timeout}, {u.MinHold, &c.MinHold}, {u.StaleAfter, &c.StaleAfter}} {
		if d.from != 0 {
			*d.to = d.from
		}
	}
	for _, n := range []struct {
		from int
		to   *int
	}{{u.FailAfter, &c.FailAfter}, {u.RecoverAfter, &c.RecoverAfter}, {u.DegradeAfter, &c.DegradeAfter}, {u.BreakAfter, &c.BreakAfter}} {
		if n.from != 0 {
			*n.to = n.from
		}
	}
}
