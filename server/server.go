package server

import (
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/logs"
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

// New returns a server whose status is STARTING. The error joins all errors of cfg.
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
	s.http = &httpHandler{
		pipeline: s.pipeline, showReasons: cfg.ShowReasons, requested: s.missingRun.requested,
		renderer: renderer{service: cfg.Service, build: cfg.Build, degradedCode: cfg.DegradedHTTP},
	}
	s.handlers = grpchealth.New(grpchealth.Config{
		Feed: s.Feed(), Self: health.ID{Service: cfg.Service}, ShowReasons: cfg.ShowReasons, Build: cfg.Build,
		Metrics: s.pipeline.figures, Asked: s.missingRun.requested, Number: s.cfg.stockStatus,
		MaxWatchers: cfg.MaxWatchers, MaxWatchersPerPeer: cfg.MaxWatchersPerPeer,
	})
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
// after InitialDelay. If the service is routable when Add is called, it waits for the first
// outcome of the new check and stays routable until then.
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
// error joins all errors. The status of each check, its counts and the time of its next run
// stay the same.
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
