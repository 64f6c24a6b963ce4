package server

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/logs"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Server runs checks and serves their statuses. Create it with New. All methods may be
// called at any time from any goroutine.
type Server struct {
	cfg        Config
	pipeline   *pipeline
	workers    *workers
	handlers   *grpchealth.Handlers // handlers of grpc.health.v1 and meshhealth.v1
	http       *httpHandler
	missingRun *missingRun
	drain      drain
	logs       *logs.Logger // logger with a queue; cfg.Logger writes to this queue
}

// New returns a server whose status is STARTING. The error names all invalid fields of cfg.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("server.Config: %w", err)
	}
	cfg.setDefaults()
	queued := logs.New(cfg.Logger)
	cfg.Logger = queued.Logger
	s := &Server{cfg: cfg, logs: queued, pipeline: newPipeline(&cfg), drain: newDrain()}
	s.workers = newWorkers(s.pipeline)
	s.missingRun = &missingRun{pipeline: s.pipeline}
	s.handlers = grpchealth.New(grpchealth.Config{
		Feed: s.Feed(), Self: health.ID{Service: cfg.Service}, Rights: cfg.rights, Build: cfg.Build,
		Metrics: s.pipeline.figures, Asked: s.missingRun.requested, Number: s.cfg.stockStatus,
		MaxWatchers: cfg.MaxWatchers, MaxWatchersPerPeer: cfg.MaxWatchersPerPeer,
	})
	s.http = &httpHandler{
		pipeline: s.pipeline, rights: cfg.rights, requested: s.missingRun.requested,
		renderer: renderer{service: cfg.Service, build: cfg.Build, degradedCode: cfg.DegradedHTTP},
	}
	return s, nil
}

// Register adds grpc.health.v1 and meshhealth.v1.HealthService to a gRPC server. Call it
// before that server serves.
func (s *Server) Register(r grpc.ServiceRegistrar) { s.handlers.Register(r) }

// Handler returns a handler for GET and HEAD of these paths:
//
//	/livez     503 if a liveness check fails: restart the process
//	/readyz    200 if the service can receive traffic
//	/startupz  503 until each startup check has passed once
//
// A path such as /readyz/db shows one check and, if ShowReasons allows it, its last runs.
// The query ?verbose lists the checks. The query ?exclude=NAME ignores a check and may be
// repeated up to 128 times. Reasons are shown if ShowReasons allows it.
//
// The answer is text. With Accept: application/json it is JSON. With Accept:
// application/health+json it has the form of draft-inadarei-api-health-check.
//
// Pages of /readyz have headers for the HTTP health checker of Envoy. While the page is
// DEGRADED and its code is below 400, it has x-envoy-degraded. While the page is NOT_SERVING,
// DRAINING or MAINTENANCE, it has x-envoy-immediate-health-check-fail.
//
// A request never runs a check. The handler renders a page once after a change and keeps it
// until the next change. The root page lists the paths. For other paths the answer is 404
// and lists the paths too. /healthz is such a path: some manifests use it for liveness and
// others for readiness, and no answer suits both.
func (s *Server) Handler() http.Handler { return s.http }

// Feed returns the feed to which the server publishes. Callers must only read it.
func (s *Server) Feed() *feed.Feed { return s.pipeline.publisher.feed }

// Status returns the published status of Config.Service.
func (s *Server) Status() health.Status {
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	return s.pipeline.judgement.own().published.Status
}

// StatusOf returns the published status of one name. ok is false if the server does not serve the
// name. StatusOf allocates nothing.
func (s *Server) StatusOf(service string) (status health.Status, ok bool) {
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	served := s.pipeline.judgement.byID[health.ID{Service: service}]
	if served == nil {
		return health.Unknown, false
	}
	return served.published.Status, true
}

// Observed returns the value that the last run of a check has observed, see [Observe]. ok is false
// if the check does not exist or has observed nothing.
func (s *Server) Observed(check string) (value float64, unit string, ok bool) {
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	t := s.pipeline.checks.tasks[check]
	if t == nil {
		return 0, "", false
	}
	v := t.extra().value
	if v == nil {
		return 0, "", false
	}
	return v.value, v.unit, true
}

// Ended returns a channel that Drain closes when it ends the Watch streams. A service that has
// endless streams of its own should end them then, so that GracefulStop does not wait for them.
func (s *Server) Ended() <-chan struct{} { return s.handlers.Ended() }

// Statuses returns the published state of each name but "". The state of Config.Service
// comes first.
func (s *Server) Statuses() []health.State {
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	services := s.pipeline.judgement.services
	all := make([]health.State, 0, len(services)-1)
	for i, service := range services {
		if i != namelessIndex {
			all = append(all, service.published)
		}
	}
	return all
}

// Add adds all checks, or none if there is an error. The error joins all errors. Each of
// them names its check and field.
//
// Before Run is called, no check runs. Later, the first run of a check starts at once or
// after InitialDelay. If the service can receive traffic when Add is called, a new check
// affects the status of the service only after its first outcome.
func (s *Server) Add(checks ...Check) error {
	all := make([]rules, len(checks))
	var errs []error
	for i := range checks {
		all[i] = checks[i].rules()
		if err := checks[i].validate(&all[i]); err != nil {
			errs = append(errs, checkError(checks[i].Name, err))
		}
	}
	var err error
	s.pipeline.update(func(now time.Time) { err = s.pipeline.add(checks, all, errs, now) })
	return err
}

// Remove removes checks by name and returns how many of them existed. If a check runs,
// its context is cancelled and its outcome does not count.
func (s *Server) Remove(names ...string) (removed int) {
	s.pipeline.update(func(now time.Time) { removed = s.pipeline.remove(names, now) })
	return removed
}

// Tune changes settings of the named checks. If there is an error, it changes nothing. The
// error joins all errors. The status of each check, its numbers of consecutive failures and
// passes, and the time of its next run stay the same.
func (s *Server) Tune(byName map[string]Tuning) error {
	var err error
	s.pipeline.update(func(time.Time) { err = s.pipeline.checks.tune(byName) })
	return err
}

// Checks returns all checks in the order of Add. It runs none of them.
func (s *Server) Checks() []CheckInfo {
	var all []CheckInfo
	s.pipeline.forEachCheck(func(t *task) { all = append(all, t.info()) })
	return all
}

// History returns the last runs of a check, the oldest first, up to Config.History. It
// returns nil if the check does not exist or has not run.
func (s *Server) History(check string) []PastRun {
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	t := s.pipeline.checks.tasks[check]
	if t == nil {
		return nil
	}
	return t.pastRuns()
}

// manualCauses maps each status that SetStatus accepts to its cause.
var manualCauses = map[health.Status]health.Cause{
	health.Serving: health.CauseOK, health.Degraded: health.CauseWarned, health.NotServing: health.CauseFailed,
	health.Starting: health.CauseStarting, health.Maintenance: health.CauseMaintenance,
}

// SetStatus sets the status of the service by hand: SERVING, DEGRADED, NOT_SERVING,
// STARTING or MAINTENANCE. The server publishes the worst of this status and the statuses
// of the checks. When SetStatus returns, a changed status is published. A new reason for
// the same status may be published up to 200 ms later.
//
// SetStatus cuts the reason to 1 KiB. Only callers that may see reasons see it. The status
// has no effect on names of kind Liveness and Startup. SetStatus returns ErrLeaving after
// Drain was called or Run has ended.
func (s *Server) SetStatus(status health.Status, reason string) error {
	cause, ok := manualCauses[status]
	if !ok {
		return fmt.Errorf("server.SetStatus: status: is %v; allowed: SERVING, DEGRADED, NOT_SERVING, STARTING, MAINTENANCE", status)
	}
	v := verdict{status: status, cause: cause, reason: wire.Clean(reason)}
	var err error
	s.pipeline.update(func(now time.Time) {
		j := &s.pipeline.judgement
		if j.leaving {
			err = ErrLeaving
			return
		}
		if status == health.Degraded || status == health.NotServing {
			v.firstFailure = earlier(j.manual.firstFailure, now)
		}
		j.setStatus(v)
	})
	return err
}

// The methods below have the signatures of google.golang.org/grpc/health.Server, so that a
// Server of this package can replace a server of that package.

// SetServingStatus sets the status of one name by hand. Without checks the server works
// as grpc-go's health server: each name, also "" and Config.Service, has the status that
// was set last. SetServingStatus adds an unknown name. With checks, the server publishes
// the worst of this status, of the status of SetStatus and of the checks of the name.
//
// If a status was set for only one of the names "" and Config.Service, both names have this
// status. Coordinators ask for Config.Service. A status number that grpc.health.v1 does not
// define means UNKNOWN.
//
// After Shutdown and Drain, SetServingStatus does nothing. It logs an error for an invalid
// name (see Config.Service), for a name of kind Liveness or Startup, and for more than
// 1,000 names.
func (s *Server) SetServingStatus(service string, status healthpb.HealthCheckResponse_ServingStatus) {
	v, ok := stockVerdicts[status]
	if !ok {
		v = stockVerdicts[healthpb.HealthCheckResponse_UNKNOWN]
	}
	var err error
	s.pipeline.update(func(now time.Time) { err = setServingStatus(&s.pipeline.judgement, service, v, now) })
	if err != nil {
		s.cfg.Logger.Error("SetServingStatus has no effect", "service", wire.CleanTo(service, wire.MaxName), "error", err)
	}
}

// stockVerdicts maps each status of grpc.health.v1 to the verdict that SetServingStatus
// stores for it.
var stockVerdicts = map[healthpb.HealthCheckResponse_ServingStatus]verdict{
	healthpb.HealthCheckResponse_SERVING:         {status: health.Serving, cause: health.CauseOK},
	healthpb.HealthCheckResponse_NOT_SERVING:     {status: health.NotServing, cause: health.CauseFailed},
	healthpb.HealthCheckResponse_UNKNOWN:         {status: health.Unknown, cause: health.CauseUnconfirmed},
	healthpb.HealthCheckResponse_SERVICE_UNKNOWN: {status: health.Unknown, cause: health.CauseUnknownName},
}

var errJudgedByChecks = errors.New("cannot be set, because only its checks judge it")

func setServingStatus(j *judgement, service string, v verdict, now time.Time) error {
	if j.leaving || j.shutDown {
		return nil
	}
	s := j.byID[health.ID{Service: service}]
	if s == nil {
		var err error
		if s, err = addManualService(j, service); err != nil {
			return err
		}
	}
	if s.kind != Readiness {
		return fmt.Errorf("a name of kind %v %w", s.kind, errJudgedByChecks)
	}
	if v.status == health.NotServing {
		v.firstFailure = earlier(s.manual.firstFailure, now)
	}
	j.setServiceStatus(s, v)
	return nil
}

// maxNames is the largest number of names of one server. List of grpc.health.v1 returns an
// error if there are more than 100 names, as List of grpc-go does.
const maxNames = 1000

// addManualService adds a served service without checks. Only SetServingStatus and the
// status of the whole server decide the status of this service.
func addManualService(j *judgement, name string) (*servedService, error) {
	if err := wire.CheckService(name); err != nil {
		return nil, err
	}
	if len(j.services) >= maxNames {
		return nil, fmt.Errorf("%w: there are too many names; allowed: at most %d", domain.ErrLimit, maxNames)
	}
	return j.addService(name, Readiness, func(*task) bool { return false }), nil
}

// Shutdown makes each name NOT_SERVING until Resume. The statuses of its checks and the
// statuses set by hand have no effect in this time. Names of kind Liveness and Startup do
// not change. Watch streams stay open; use Drain to end them.
func (s *Server) Shutdown() {
	s.pipeline.update(func(time.Time) {
		s.pipeline.judgement.shutDown = true
		s.pipeline.judgement.markAll()
	})
}

// Resume ends the effect of Shutdown. The status set by hand becomes SERVING for "" and for
// each name that SetServingStatus has set. The checks and the status of SetStatus still count.
func (s *Server) Resume() {
	s.pipeline.update(func(time.Time) {
		j := &s.pipeline.judgement
		j.shutDown = false
		serving := manualStatus{set: true, verdict: stockVerdicts[healthpb.HealthCheckResponse_SERVING]}
		for _, service := range j.services {
			if service.manual.set {
				service.manual = serving
			}
		}
		j.nameless().manual = serving
		j.markAll()
	})
}
