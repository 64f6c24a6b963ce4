package server

import (
	"slices"
	"strings"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// judgement holds the served services. For each of them it counts the checks by status. From
// the counts and the status set by hand it computes one verdict. pipeline.mu guards it.
type judgement struct {
	// services has Config.Service at ownIndex and the empty name at namelessIndex. After
	// them come Config.Services, and then the names that SetServingStatus has added.
	services []*servedService
	byID     map[health.ID]*servedService
	// byKind has one unpublished service for each Kind. It counts all checks of that kind.
	// The answers of /livez and /startupz come from these services.
	byKind   [numKinds]servedService
	startups []*servedService // the elements of services whose kind is Startup
	worst    worstTasks       // tasks that at least one service blames

	manual   manualStatus // status of the whole server, set by SetStatus
	started  bool         // true after Run was called
	leaving  bool         // true after Drain was called or Run has ended
	shutDown bool         // true from Shutdown until Resume
	// noRunNote says why no check runs. "" means that checks run or may run later.
	noRunNote string
}

// Indexes into judgement.services. The service of the empty name has no members of its
// own: the members of Config.Service judge the empty name too.
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
	s := &servedService{id: health.ID{Service: name}, kind: kind, includes: includes, changes: checksChanged}
	j.services = append(j.services, s)
	j.byID[s.id] = s
	if kind == Startup {
		j.startups = append(j.startups, s)
	}
	return s
}

// own returns the service of Config.Service.
func (j *judgement) own() *servedService { return j.services[ownIndex] }

// nameless returns the service of the empty name.
func (j *judgement) nameless() *servedService { return j.services[namelessIndex] }

// judgedBy returns the service whose members decide the status of s. It is s itself, except
// for the empty name.
func (j *judgement) judgedBy(s *servedService) *servedService {
	if s == j.nameless() {
		return j.own()
	}
	return s
}

// addCheck makes t a member of each service whose status depends on t.
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
	return j.services[:1:1] // most checks are members of Config.Service only
}

// markNew notes in t which of its services are routable now. These services stay routable
// until the first outcome of t.
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

// count updates the counts of all services that have t as a member. It also moves t to its
// place in worst, after the status of t has changed.
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

// markAll sets the bit serverChanged in each service.
func (j *judgement) markAll() {
	for _, s := range j.services {
		s.changes |= serverChanged
	}
}

// setStatus sets the status of the server by hand.
func (j *judgement) setStatus(v verdict) {
	j.manual = manualStatus{set: true, verdict: v}
	j.markAll()
}

// setServiceStatus sets the status of one service by hand.
func (j *judgement) setServiceStatus(s *servedService, v verdict) {
	s.manual = manualStatus{set: true, verdict: v}
	s.changes |= manualChanged
	if s == j.own() || s == j.nameless() {
		j.own().changes |= manualChanged
		j.nameless().changes |= manualChanged
	}
}

// manualOf returns the status that SetServingStatus has set for s. If a program has set only
// one of the names Config.Service and "", its status holds for both.
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

// statusOf returns the status of s if its members have these counts. found reports whether
// at least one check or one status set by hand counts.
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

// verdictWithout returns the verdict that s would have without some checks. counts must
// not include these checks.
func (j *judgement) verdictWithout(s *servedService, counts statusCounts, without map[*task]bool) verdict {
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
	return j.explained(s, status, without)
}

// maxReasons is the largest number of checks that a reason names.
const maxReasons = 16

// explained returns the verdict of a service that is not SERVING. Its reason joins the
// reasons of the statuses set by hand and of the worst checks. Its cause is the cause of the
// first status or check that is as bad as the service.
func (j *judgement) explained(s *servedService, status health.Status, without map[*task]bool) verdict {
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
	for _, t := range j.blamedTasks(j.judgedBy(s), without) {
		add(t.effect(), t.name)
	}
	if v.cause == health.CauseNone && status == health.Starting {
		v.cause = health.CauseStarting // Run was not called
	}
	v.firstFailure = s.firstFailure(v.firstFailure, status)
	v.reason = wire.Clean(strings.Join(reasons, "; "))
	return v
}

// blamedTasks returns the worst checks that make s not SERVING, at most maxReasons, in the
// order of Add. It leaves out the checks in without.
func (j *judgement) blamedTasks(s *servedService, without map[*task]bool) []*task {
	blamed := j.worst.find(maxReasons, func(t *task) bool {
		return !without[t] && s.hasMember(t) && s.blames(t, t.countedAs)
	})
	sortBySeq(blamed)
	return blamed
}
