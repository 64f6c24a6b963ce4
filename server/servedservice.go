package server

import (
	"container/list"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// changes is a set of bits that say what has changed in a served service since its last
// publication. The bits decide whether and when the publisher publishes the service.
type changes uint8

const (
	// checksChanged means that the status or cause of a check of the service has changed.
	// The service is published even if its own status, cause and reason are the same.
	checksChanged changes = 1 << iota
	// manualChanged means that SetServingStatus has set the status of this service.
	manualChanged
	// serverChanged means that a state of the whole server has changed, such as draining.
	serverChanged
)

// servedService is what the server publishes under one name. pipeline.mu guards it.
type servedService struct {
	id         health.ID
	kind       Kind
	includes   func(*task) bool // reports whether a check becomes a member; nil: every check
	members    []*task          // checks that can affect the status, in the order of Add
	counts     statusCounts     // for each status, the number of checks in members that affect the service
	manual     manualStatus     // status that SetServingStatus has set
	changes    changes
	hasStarted bool         // true after all members have passed; only used for kind Startup
	published  health.State // state that was last published; zero before the first time
	// degraded is true while the published status is DEGRADED. It may be read without the lock.
	degraded *atomic.Bool
}

// includes reports whether Checks, Tags and Kind of the service select the check t.
func (s *Service) includes(t *task) bool {
	if len(s.Checks)+len(s.Tags) == 0 {
		return t.rules.kind == s.Kind
	}
	hasTag := func(tag string) bool { return slices.Contains(s.Tags, tag) }
	return slices.Contains(s.Checks, t.name) || slices.ContainsFunc(t.extra().tags, hasTag)
}

// hasMember reports whether the check t is a member of the service.
func (s *servedService) hasMember(t *task) bool { return s.includes == nil || s.includes(t) }

// countsCheck reports whether the check t affects the status of the service. status must be
// the status that t.effect returns.
func (s *servedService) countsCheck(t *task, status health.Status) bool {
	switch {
	case t.rules.onFail == Ignore:
		return false
	case s.kind != Readiness:
		return t.rules.kind == s.kind
	case status == health.Starting && (t.rules.onFail == Degrade || t.isNewTo(s)):
		return false
	}
	return t.rules.kind != Liveness
}

// blames reports whether the check t is a reason why the service is not SERVING. status must
// be the status that t.effect returns.
func (s *servedService) blames(t *task, status health.Status) bool {
	return status != health.Serving && s.countsCheck(t, status) && !(s.kind == Liveness && status == health.Starting)
}

// count subtracts 1 from the count of the earlier status of t. If included is true, it adds 1
// to the count of `status`. It changes no count for a status with which t does not affect s.
func (s *servedService) count(t *task, status health.Status, included bool) {
	if t.counted && s.countsCheck(t, t.countedAs) {
		s.counts[t.countedAs]--
	}
	if included && s.countsCheck(t, status) {
		s.counts[status]++
	}
	s.changes |= checksChanged
}

// countsWithout returns, for each status, the number of checks that affect the service,
// without the checks in excluded.
func (s *servedService) countsWithout(excluded map[*task]bool) statusCounts {
	counts := s.counts
	for t := range excluded {
		if t.counted && s.countsCheck(t, t.countedAs) {
			counts[t.countedAs]--
		}
	}
	return counts
}

// firstFailure returns the time at which the present trouble of the service began. named is the
// time of the earliest failure among the checks that the reason names. The result may be
// earlier: the check that failed first may have recovered or may not be in the reason.
func (s *servedService) firstFailure(named time.Time, status health.Status) time.Time {
	p := &s.published
	if status.Routable() == p.Status.Routable() || p.Status == health.Degraded {
		return earlier(p.FirstFailure, named)
	}
	return named
}

// checkStates returns the states of the checks of the service, in the order of Add. If there are
// more than wire.MaxChecks checks, it prefers the worst ones and leaves out the others.
func (s *servedService) checkStates(worst *worstTasks) []health.CheckState {
	if len(s.members) == 0 {
		return nil
	}
	shown := s.members
	if len(shown) > wire.MaxChecks {
		shown = s.mostImportant(worst)
	}
	states := make([]health.CheckState, len(shown))
	for i, t := range shown {
		states[i] = t.state()
	}
	return states
}

func (s *servedService) mostImportant(worst *worstTasks) []*task {
	shown := worst.find(wire.MaxChecks, s.hasMember)
	for _, t := range s.members {
		if len(shown) == wire.MaxChecks {
			break
		}
		if t.trouble == nil {
			shown = append(shown, t)
		}
	}
	sortBySeq(shown)
	return shown
}

// canCount reports whether at least one check of the service can affect its status. It also
// returns true for a service without checks.
func (s *servedService) canCount() bool {
	counts := func(t *task) bool { return s.countsCheck(t, health.Serving) }
	return len(s.members) == 0 || slices.ContainsFunc(s.members, counts)
}

// countingChecks describes, for each kind of service, the checks that affect its status.
var countingChecks = [numKinds]string{
	Readiness: "check of kind readiness or startup whose OnFail is not Ignore",
	Liveness:  "check of kind liveness whose OnFail is not Ignore",
	Startup:   "check of kind startup whose OnFail is not Ignore",
}

// whyNoneCounts returns a text about the first three checks of the service. For each of them, the
// text says why the check does not affect the status of the service.
func (s *servedService) whyNoneCounts() string {
	const limit = 3
	var all []string
	for _, t := range s.members[:min(len(s.members), limit)] {
		why := "is of kind " + t.rules.kind.String()
		if t.rules.onFail == Ignore {
			why = "is ignored (OnFail)"
		}
		all = append(all, fmt.Sprintf("%q %s", wire.CleanTo(t.name, wire.MaxName), why))
	}
	return strings.Join(all, ", ")
}

// manualStatus is a status that SetStatus or SetServingStatus has set.
type manualStatus struct {
	set bool // false: no status was set
	verdict
}

// statusCounts has, at the index of each status, the number of checks with this status.
type statusCounts [health.NumStatuses]int

// worst returns the worst status that at least one check has. found is false if all counts
// are 0.
func (c *statusCounts) worst() (worst health.Status, found bool) {
	for i, n := range c {
		if s := health.Status(i); n > 0 && (!found || s.WorseThan(worst)) {
			worst, found = s, true
		}
	}
	return worst, found
}

// allPassed reports whether no check is NOT_SERVING and each check has run.
func (c *statusCounts) allPassed() bool {
	return c[health.NotServing] == 0 && c[health.Starting] == 0
}

// liveness returns the status of /livez and of names of kind Liveness. Checks that have
// not run yet do not count, because they are no reason to restart the process.
func (c statusCounts) liveness() health.Status {
	c[health.Starting] = 0
	if worst, found := c.worst(); found {
		return worst
	}
	return health.Serving
}

// worstTasks has, for each status, a list of the checks that are a reason why at least one
// service is not SERVING. With these lists, the worst checks are found without a search
// through all checks.
type worstTasks [health.NumStatuses]list.List

// worstFirst has all statuses but SERVING. The worst status comes first.
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

// find returns the tasks for which match returns true. The worst tasks come first. It
// returns at most limit tasks.
func (w *worstTasks) find(limit int, match func(*task) bool) []*task {
	var found []*task
	for _, status := range worstFirst {
		for e := w[status].Front(); e != nil; e = e.Next() {
			if len(found) == limit {
				return found
			}
			if t := e.Value.(*task); match(t) {
				found = append(found, t)
			}
		}
	}
	return found
}

// sortBySeq sorts tasks by the order of Add.
func sortBySeq(tasks []*task) {
	slices.SortFunc(tasks, func(a, b *task) int { return int(a.seq) - int(b.seq) })
}
