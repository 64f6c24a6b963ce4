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
	tuned := make(map[*task]rules, len(by))
	var errs []error
	for name, tuning := range by {
		t := s.tasks[name]
		if t == nil {
			errs = append(errs, about(name, ErrNoCheck))
			continue
		}
		r := *t.rules
		tuning.apply(&r)
		var f faults
		if r.validate(&f); f.err() != nil {
			errs = append(errs, about(name, f.err()))
		}
		tuned[t] = r
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for t, r := range tuned {
		t.rules = s.rules.get(r)
		t.machine.Retune(&t.rules.policy)
	}
	return nil
}

func (u *Tuning) apply(r *rules) {
	p := &r.policy
	for _, d := range []struct {
		from time.Duration
		to   *time.Duration
	}{{u.Every, &r.every}, {u.Timeout, &r.timeout}, {u.MinHold, &p.MinHold}, {u.StaleAfter, &p.StaleAfter}} {
		if d.from != 0 {
			*d.to = d.from
		}
	}
	for _, n := range []struct {
		from int
		to   *int
	}{{u.FailAfter, &p.FailAfter}, {u.RecoverAfter, &p.RecoverAfter}, {u.DegradeAfter, &p.DegradeAfter}, {u.BreakAfter, &r.breakAfter}} {
		if n.from != 0 {
			*n.to = n.from
		}
	}
}
