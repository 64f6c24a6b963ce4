package sim

import (
	"slices"
	"time"
)

// shrinker makes a failing script smaller, one change after the other. It keeps a change if
// the smaller script still breaks the same rule. It stops when it can keep no change any more,
// or when it has played enough scripts.
type shrinker struct {
	best  *Script            // the smallest failing script so far
	fails func(*Script) bool // reports whether a script breaks the rule
	tries int                // how many more scripts may be played
}

// Minimise makes the failing script s smaller, and returns a script that breaks the same rule.
// The parameter tries limits how many scripts Minimise plays. Minimise does not change s.
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
		m.removeSteps()
		m.removeInstances()
		m.roundTimes()
	}
	return m.best
}

// size returns the number of steps plus the number of instances of the best script. The
// shrinker reduces this number.
func (m *shrinker) size() int {
	n := len(m.best.Steps)
	for _, s := range m.best.Services {
		n += s.Instances
	}
	return n
}

// try applies a change to a copy of the best script. If the copy still fails, it becomes the
// best script, and try returns true.
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

// removeSteps tries to remove steps from the script: first half of all steps at once, then smaller
// groups, and finally single steps.
func (m *shrinker) removeSteps() {
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

// removeInstances tries to remove instances from each service: first all instances at once, then
// half of them, and so on.
func (m *shrinker) removeInstances() {
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

// roundTimes tries to round the parameter For of each step, and to shorten the time between
// steps.
func (m *shrinker) roundTimes() {
	for i := range m.best.Steps {
		for _, unit := range []time.Duration{time.Minute, 10 * time.Second, time.Second, 100 * time.Millisecond} {
			if d := m.best.Steps[i].For; d != 0 && d.Round(unit) != 0 {
				if d == d.Round(unit) || m.try(func(s *Script) { s.Steps[i].For = d.Round(unit) }) {
					break
				}
			}
		}
	}
	m.moveEarlier()
}

// moveEarlier tries to make each step, with all steps after it, happen earlier.
func (m *shrinker) moveEarlier() {
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
