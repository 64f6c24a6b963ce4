package server

import (
	"errors"
	"fmt"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

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
// If only one of "" and Config.Service was set, the status holds for both names.
// Coordinators ask for Config.Service. A number that grpc.health.v1 does not define means
// UNKNOWN.
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

// addManualService adds a served service without members. Only SetServingStatus and the
// status of the server decide its status.
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

// Resume ends Shutdown. It sets the status set by hand to SERVING for "" and for each name
// that SetServingStatus has set. The checks and the status of SetStatus still count.
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
