package server

import (
	"container/list"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Service is one more name on the health services, judged by some of the
// checks.
type Service struct {
	// Name is as Config.Service, and another one.
	Name string
	// Checks are names of checks. Any check that has one of Tags belongs to it
	// too. Run wants each of them to mean something.
	Checks, Tags []string
}

func (s *Service) takes(t *task) bool {
	return slices.Contains(s.Checks, t.name) || slices.ContainsFunc(t.tied().tags, func(tag string) bool { return slices.Contains(s.Tags, tag) })
}

// board is one name on the health services: the checks behind it, counted by
// what they say, and what was last published. The server's lock guards it.
type board struct {
	id      health.ID
	takes   func(*task) bool // nil: every check
	members []*task          // in the order of Add
	counted counts
	manual  manual
	changed bool // something about a check is news
	// published is the last state.
	published health.State
}

// worst returns the worst of what counts, and whether anything does.
func (b *board) worst(also ...*manual) (worst health.Status, found bool) {
	worst, found = b.counted.worst()
	for _, m := range also {
		if m.set && (!found || m.status.WorseThan(worst)) {
			worst, found = m.status, true
		}
	}
	return worst, found
}

// states returns the checks as they are published, in the order of Add. Of
// more than can be shown, those that are not well go first.
func (b *board) states(bad *badTasks) []health.CheckState {
	if len(b.members) == 0 {
		return nil
	}
	shown := b.members
	if len(shown) > wire.MaxChecks {
		shown = bad.of(b, wire.MaxChecks)
		for _, t := range b.members {
			if len(shown) == wire.MaxChecks {
				break
			}
			if t.trouble == nil {
				shown = append(shown, t)
			}
		}
		bySeq(shown)
	}
	states := make([]health.CheckState, len(shown))
	for i, t := range shown {
		states[i] = t.state()
	}
	return states
}

// badTasks are the tasks that are not SERVING and count, by status: what is
// published names the first of the worst, and never looks at the others.
type badTasks [health.NumStatuses]list.List

// worstFirst are the statuses a task in trouble can have, the worst first.
var worstFirst = func() []health.Status {
	all := slices.DeleteFunc(health.Statuses(), func(s health.Status) bool { return s == health.Serving })
	slices.SortFunc(all, func(a, b health.Status) int {
		switch {
		case a.WorseThan(b):
			return -1
		case b.WorseThan(a):
			return 1
		}
		return 0
	})
	return all
}()

// of returns at most so many that belong to b, the worst first.
func (l *badTasks) of(b *board, most int) []*task {
	var found []*task
	for _, status := range worstFirst {
		for e := l[status].Front(); e != nil; e = e.Next() {
			if len(found) == most {
				return found
			}
			if t := e.Value.(*task); b.takes == nil || b.takes(t) {
				found = append(found, t)
			}
		}
	}
	return found
}

func bySeq(tasks []*task) {
	slices.SortFunc(tasks, func(a, b *task) int { return int(a.seq) - int(b.seq) })
}

// recount enters t anew where it belongs.
func (s *Server) recount(t *task) {
	v, counts := t.verdict()
	counts = counts && !t.removed
	s.countKind(t, v.status)
	for _, b := range t.boards {
		if t.entered {
			b.counted[t.enteredAs]--
		}
		if counts {
			b.counted[v.status]++
		}
		b.changed = true
	}
	if t.trouble != nil {
		s.bad[t.enteredAs].Remove(t.trouble)
		t.trouble = nil
	}
	t.entered, t.enteredAs = counts, v.status
	if counts && v.status != health.Serving {
		t.trouble = s.bad[v.status].PushBack(t)
	}
}

// maxReasons is how many checks a reason names.
const maxReasons = 16

// judge returns what all sources of a board say together.
func (s *Server) judge(b *board) verdict {
	if s.leaving || s.down {
		return verdict{status: health.Draining, cause: health.CauseDraining}
	}
	worst, found := b.worst(&s.manual, &b.manual)
	switch {
	case !found && s.schedule.started:
		return verdict{status: health.Serving, cause: health.CauseOK}
	case !found:
		return verdict{status: health.Starting, cause: health.CauseStarting}
	case worst == health.Serving:
		return verdict{status: worst, cause: health.CauseOK, reason: s.manual.reason}
	}
	v := verdict{status: worst}
	var reasons []string
	take := func(one verdict, name string) {
		if v.cause == health.CauseNone && one.status == worst {
			v.cause = one.cause
		}
		reasons = append(reasons, explain(one, name))
		v.firstFailure = earlier(v.firstFailure, one.firstFailure)
	}
	for _, m := range []*manual{&s.manual, &b.manual} {
		if m.set && m.status != health.Serving {
			take(m.verdict, "")
		}
	}
	bad := s.bad.of(b, maxReasons)
	bySeq(bad)
	for _, t := range bad {
		one, _ := t.verdict()
		take(one, t.name)
	}
	v.firstFailure = b.since(v.firstFailure, worst)
	v.reason = wire.Clean(strings.Join(reasons, "; "))
	return v
}

// since returns when the present trouble began: what began it may be over, or
// not be among those that are named.
func (b *board) since(first time.Time, worst health.Status) time.Time {
	p := &b.published
	if worst.Routable() == p.Status.Routable() || p.Status == health.Degraded {
		return earlier(p.FirstFailure, first)
	}
	return first
}
