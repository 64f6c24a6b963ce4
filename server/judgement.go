package server

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// judgement holds the served services: one for each name that the server publishes. For each
// service, it counts the checks by status. From these counts and from the statuses that the
// program has set, it computes the verdict of the service. pipeline.mu guards it.
type judgement struct {
	// services has Config.Service at ownIndex and the empty name at namelessIndex. After
	// them come Config.Services, and then the names that SetServingStatus has added.
	services []*servedService
	byID     map[health.ID]*servedService
	// byKind has, for each Kind, a service that is not published and that counts all checks
	// of that kind. The answers of /livez and /startupz come from these services.
	byKind   [numKinds]servedService
	startups []*servedService // the elements of services whose kind is Startup
	worst    worstTasks       // checks that are a reason why at least one service is not SERVING

	manual   manualStatus // status of the whole server, set by SetStatus
	started  bool         // true after Run was called
	leaving  bool         // true after Drain was called or Run has ended
	shutDown bool         // true from Shutdown until Resume
	// noRunNote is a text that says why no check runs. It is empty if checks run or if they
	// may run later.
	noRunNote string
}

// Indexes into judgement.services. The service with the empty name has no checks of its
// own: the checks of Config.Service decide its status.
const (
	ownIndex = iota
	namelessIndex
	firstConfigured // index of the first entry of Config.Services
)

func newJudgement(cfg *Config) judgement {
	j := judgement{byID: map[health.ID]*servedService{}}
	for k := range j.byKind {
		j.byKind[k].kind = Kind(k)
	}
	j.addService(cfg.Service, Readiness, nil)
	j.addService("", Readiness, nil)
	for i := range cfg.Services {
		j.addService(cfg.Services[i].Name, cfg.Services[i].Kind, cfg.Services[i].includes)
	}
	return j
}

func (j *judgement) addService(name string, kind Kind, includes func(*task) bool) *servedService {
	s := &servedService{id: health.ID{Service: name}, kind: kind, includes: includes, changes: checksChanged, degraded: new(atomic.Bool)}
	j.services = append(j.services, s)
	j.byID[s.id] = s
	if kind == Startup {
		j.startups = append(j.startups, s)
	}
	return s
}

// own returns the service with the name Config.Service.
func (j *judgement) own() *servedService { return j.services[ownIndex] }

// nameless returns the service with the empty name.
func (j *judgement) nameless() *servedService { return j.services[namelessIndex] }

// judgedBy returns the service whose checks decide the status of s. This is s itself, unless
// s has the empty name. The checks of Config.Service decide for the empty name.
func (j *judgement) judgedBy(s *servedService) *servedService {
	if s == j.nameless() {
		return j.own()
	}
	return s
}

// addCheck adds the check t to the members of each service whose status depends on t.
func (j *judgement) addCheck(t *task) {
	j.own().members = append(j.own().members, t)
	for _, s := range j.services[firstConfigured:] {
		if s.includes(t) {
			s.members = append(s.members, t)
			t.ownExtras().services = append(j.servicesOf(t), s)
		}
	}
	j.markNew(t)
}

// servicesOf returns the services that have t as a member.
func (j *judgement) servicesOf(t *task) []*servedService {
	if all := t.extra().services; all != nil {
		return all
	}
	return j.services[:1:1] // most checks affect only the service with the name Config.Service
}

// markNew must be called when the check t is added. It stores in t which of the services that
// have t as a member are routable now: the status of the service allows traffic. Until the
// first outcome of t, t does not make these services STARTING.
func (j *judgement) markNew(t *task) {
	isRoutable := func(s *servedService) bool {
		return s.published.Status.Routable() || s == j.own() && j.nameless().published.Status.Routable()
	}
	notRoutable := func(s *servedService) bool { return !isRoutable(s) }
	switch services := j.servicesOf(t); {
	case !slices.ContainsFunc(services, isRoutable):
	case slices.ContainsFunc(services, notRoutable):
		t.ownExtras().newTo = slices.DeleteFunc(slices.Clone(services), notRoutable)
	default:
		t.newToAll = true
	}
}

// dropRemoved removes tasks from the members of the services if task.removed is set.
func (j *judgement) dropRemoved(services map[*servedService]bool) {
	for s := range services {
		s.members = slices.DeleteFunc(s.members, func(t *task) bool { return t.removed })
	}
}

// count must be called when the status of t may have changed. It updates the counts of all
// services that have t as a member, and moves t to the list of its status in j.worst.
func (j *judgement) count(t *task) {
	status := t.effect().status
	included := !t.removed && t.rules.onFail != Ignore
	blamed := false
	for _, s := range j.servicesOf(t) {
		s.count(t, status, included)
		blamed = blamed || included && s.blames(t, status)
	}
	j.nameless().changes |= checksChanged
	j.byKind[t.rules.kind].count(t, status, included)
	if t.trouble != nil {
		j.worst[t.countedAs].Remove(t.trouble)
		t.trouble = nil
	}
	t.counted, t.countedAs = included, status
	if blamed {
		t.trouble = j.worst[status].PushBack(t)
	}
}

// updateStarted sets hasStarted of each service of kind Startup if all its checks have
// passed. hasStarted stays set when a check fails later.
func (j *judgement) updateStarted() {
	if !j.started {
		return
	}
	note := func(s *servedService) { s.hasStarted = s.hasStarted || s.counts.allPassed() }
	note(&j.byKind[Startup])
	for _, s := range j.startups {
		note(s)
	}
}

// markAll notes for each service that a state of the whole server has changed.
func (j *judgement) markAll() {
	for _, s := range j.services {
		s.changes |= serverChanged
	}
}

// setStatus stores a status that the program has set for the whole server.
func (j *judgement) setStatus(v verdict) {
	j.manual = manualStatus{set: true, verdict: v}
	j.markAll()
}

// setServiceStatus stores a status that the program has set for one service.
func (j *judgement) setServiceStatus(s *servedService, v verdict) {
	s.manual = manualStatus{set: true, verdict: v}
	s.changes |= manualChanged
	if s == j.own() || s == j.nameless() {
		j.own().changes |= manualChanged
		j.nameless().changes |= manualChanged
	}
}

// manualOf returns the status that SetServingStatus has set for s. If a program has set a
// status for only one of the names Config.Service and "", both names have this status.
func (j *judgement) manualOf(s *servedService) *manualStatus {
	switch own, nameless := j.own(), j.nameless(); {
	case s == own && !own.manual.set:
		return &nameless.manual
	case s == nameless && !nameless.manual.set:
		return &own.manual
	}
	return &s.manual
}

// status returns the status of s.
func (j *judgement) status(s *servedService) health.Status {
	status, _ := j.statusOf(s, j.judgedBy(s).counts)
	return status
}

// statusOf returns the status of s for these counts, which are the numbers of checks with
// each status. found reports whether at least one check, or a status that the program has
// set, decides the result.
func (j *judgement) statusOf(s *servedService, counts statusCounts) (worst health.Status, found bool) {
	switch s.kind {
	case Liveness:
		return counts.liveness(), true
	case Startup:
		return j.startupStatus(s, counts), true
	}
	worst, found = counts.worst()
	for _, m := range []*manualStatus{&j.manual, j.manualOf(s)} {
		if m.set && (!found || m.status.WorseThan(worst)) {
			worst, found = m.status, true
		}
	}
	switch {
	case j.leaving || j.shutDown:
		worst = health.Draining
	case !found && j.started:
		worst = health.Serving
	case !found:
		worst = health.Starting
	}
	return worst, found
}

// startupStatus returns the status of s, which is the service of /startupz or a name of
// kind Startup.
func (j *judgement) startupStatus(s *servedService, counts statusCounts) health.Status {
	switch worst, _ := counts.worst(); {
	case s.hasStarted, j.started && counts.allPassed():
		return health.Serving
	case worst == health.NotServing:
		return worst
	}
	return health.Starting
}

func (j *judgement) verdict(s *servedService) verdict {
	return j.verdictWithout(s, j.judgedBy(s).counts, nil)
}

// verdictWithout returns the verdict that s would have without the excluded checks. counts
// must be the counts of s without these checks.
func (j *judgement) verdictWithout(s *servedService, counts statusCounts, excluded map[*task]bool) verdict {
	status, found := j.statusOf(s, counts)
	switch {
	case status == health.Draining:
		return verdict{status: status, cause: health.CauseDraining}
	case !found && status == health.Starting:
		return verdict{status: status, cause: health.CauseStarting, reason: wire.Clean(j.noRunNote)}
	case !found, status == health.Serving && s.kind != Readiness:
		return verdict{status: status, cause: health.CauseOK}
	case status == health.Serving:
		return verdict{status: status, cause: health.CauseOK, reason: j.manual.reason}
	}
	return j.explained(s, status, excluded)
}

// maxReasons is the largest number of checks that the reason of one service names.
const maxReasons = 16

// explained returns the verdict of a service that is not SERVING. The reason of the verdict
// joins the reasons of the statuses that the program has set and of the worst checks. The
// cause comes from the first of these statuses and checks that is as bad as status.
func (j *judgement) explained(s *servedService, status health.Status, excluded map[*task]bool) verdict {
	v := verdict{status: status}
	var reasons []string
	if j.noRunNote != "" {
		reasons = append(reasons, j.noRunNote)
	}
	add := func(one verdict, name string) {
		if v.cause == health.CauseNone && one.status == status {
			v.cause = one.cause
		}
		reasons = append(reasons, one.sentence(name))
		v.firstFailure = earlier(v.firstFailure, one.firstFailure)
	}
	for _, m := range []*manualStatus{&j.manual, j.manualOf(s)} {
		if m.set && m.status != health.Serving && s.kind == Readiness {
			add(m.verdict, "")
		}
	}
	for _, t := range j.blamedTasks(j.judgedBy(s), excluded) {
		add(t.effect(), t.name)
	}
	if v.cause == health.CauseNone && status == health.Starting {
		v.cause = health.CauseStarting // Run was not called
	}
	v.firstFailure = s.firstFailure(v.firstFailure, status)
	v.reason = wire.Clean(strings.Join(reasons, "; "))
	return v
}

// blamedTasks returns the worst checks that are a reason why s is not SERVING, at most
// maxReasons, in the order in which they were added. It leaves out the excluded checks.
func (j *judgement) blamedTasks(s *servedService, excluded map[*task]bool) []*task {
	blamed := j.worst.find(maxReasons, func(t *task) bool {
		return !excluded[t] && s.hasMember(t) && s.blames(t, t.countedAs)
	})
	sortBySeq(blamed)
	return blamed
}
