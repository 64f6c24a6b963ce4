package sim

import (
	"slices"
	"time"
)

// shrinker minimises a failing script. It keeps each change after which the script
// still breaks the same rule. It stops when no change helps, or after a number of
// tries.
type shrinker struct {
	best  *Script
	fails func(*Script) bool
	tries int
}

// Minimise returns the smallest script that it finds that breaks the same rule as s. The
// parameter tries is the largest number of scripts that it plays.
func Minimise(s *Script, rule string, tries int) *Script {
	return minimise(s, rule, tries, func(s *Script) *Fault { return Play(s).Fault })
}

func minimise(s *Script, rule string, tries int, play func(*Script) *Fault) *Script {
	m := &shrinker{best: s, tries: tries, fails: func(s *Script) bool {
		f := play(s)
		return f != nil && f.Rule == rule
	}}
	if f := play(s); f != nil {
		m.try(func(s *Script) {
			s.Steps = slices.DeleteFunc(s.Steps, func(step Step) bool { return step.At > f.At })
		})
	}
	for size := -1; m.tries > 0 && size != m.size(); {
		size = m.size()
		m.steps()
		m.instances()
		m.numbers()
	}
	return m.best
}

// size returns the number of steps and instances of best, which the shrinker reduces.
func (m *shrinker) size() int {
	n := len(m.best.Steps)
	for _, s := range m.best.Services {
		n += s.Instances
	}
	return n
}

// try applies a change to a copy of best. If the copy still fails, it becomes best, and try
// returns true.
func (m *shrinker) try(change func(*Script)) bool {
	if m.tries <= 0 {
		return false
	}
	m.tries--
	s := *m.best
	s.Steps, s.Services = slices.Clone(s.Steps), slices.Clone(s.Services)
	change(&s)
	if !m.fails(&s) {
		return false
	}
	m.best = &s
	return true
}

// steps tries to remove groups of steps: first halves of the script, and at last single steps.
func (m *shrinker) steps() {
	for size := max(1, len(m.best.Steps)/2); ; size /= 2 {
		for from := 0; from < len(m.best.Steps); {
			to := min(from+size, len(m.best.Steps))
			if !m.try(func(s *Script) { s.Steps = slices.Delete(s.Steps, from, to) }) {
				from = to
			}
		}
		if size <= 1 {
			return
		}
	}
}

// instances tries to remove instances from each service: first all of them, then fewer.
func (m *shrinker) instances() {
	for i := range m.best.Services {
		for take := m.best.Services[i].Instances; take > 0; {
			if !m.try(func(s *Script) { s.Services[i].Instances -= take }) {
				take /= 2
			}
			take = min(take, m.best.Services[i].Instances)
		}
	}
	for i := len(m.best.Services) - 1; i >= 0; i-- {
		if m.best.Services[i].Instances == 0 {
			m.try(func(s *Script) { s.Services = slices.Delete(s.Services, i, i+1) })
		}
	}
}

// numbers tries to round the times For of the steps, and to shorten the script.
func (m *shrinker) numbers() {
	for i := range m.best.Steps {
		for _, unit := range []time.Duration{time.Minute, 10 * time.Second, time.Second, 100 * time.Millisecond} {
			if d := m.best.Steps[i].For; d != 0 && d.Round(unit) != 0 {
				if d == d.Round(unit) || m.try(func(s *Script) { s.Steps[i].For = d.Round(unit) }) {
					break
				}
			}
		}
	}
	m.early()
}

// early tries to remove or shorten the time between each step and the step before it.
func (m *shrinker) early() {
	for i := range m.best.Steps {
		before := time.Duration(0)
		if i > 0 {
			before = m.best.Steps[i-1].At
		}
		gap := m.best.Steps[i].At - before
		for _, less := range []time.Duration{gap, gap - gap.Truncate(time.Minute), gap - gap.Truncate(time.Second), gap / 2} {
			if less > 0 && m.try(func(s *Script) { s.shift(i, less) }) {
				break
			}
		}
	}
}

func (s *Script) shift(from int, by time.Duration) {
	for i := from; i < len(s.Steps); i++ {
		s.Steps[i].At -= by
	}
}
