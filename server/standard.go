package server

import (
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The methods here are those of google.golang.org/grpc/health.Server, so that
// this server can take its place without a change elsewhere.

// SetServingStatus says by hand how one name is, as SetStatus does for all of
// them: the worst of this, SetStatus and the name's checks is published. ""
// and Config.Service mean the service; another name that is not known is added,
// without checks. SERVICE_UNKNOWN is taken for UNKNOWN. After Shutdown and
// Drain it does nothing; a name that is refused (see Config.Service) is logged.
func (s *Server) SetServingStatus(service string, status healthpb.HealthCheckResponse_ServingStatus) {
	v, ok := standardVerdicts[status]
	if !ok {
		v = standardVerdicts[healthpb.HealthCheckResponse_UNKNOWN]
	}
	var err error
	s.update(func(now time.Time) { err = s.setServing(service, v, now) })
	if err != nil {
		s.cfg.Logger.Error("SetServingStatus", "service", wire.CleanTo(service, wire.MaxName), "error", err)
	}
}

var standardVerdicts = map[healthpb.HealthCheckResponse_ServingStatus]verdict{
	healthpb.HealthCheckResponse_SERVING:     {status: health.Serving, cause: health.CauseOK},
	healthpb.HealthCheckResponse_NOT_SERVING: {status: health.NotServing, cause: health.CauseFailed},
	healthpb.HealthCheckResponse_UNKNOWN:     {status: health.Unknown, cause: health.CauseUnconfirmed},
}

func (s *Server) setServing(service string, v verdict, now time.Time) error {
	if s.leaving || s.down {
		return nil
	}
	b := s.boards[0]
	if service != "" {
		b = s.names[health.ID{Service: service}]
	}
	if b == nil {
		if err := s.newName(service); err != nil {
			return err
		}
		b = s.names[health.ID{Service: service}]
	}
	if v.status == health.NotServing {
		v.firstFailure = earlier(b.manual.firstFailure, now)
	}
	b.manual, b.changed = manual{set: true, verdict: v}, true
	return nil
}

// newName adds a name no check belongs to.
func (s *Server) newName(service string) error {
	if err := wire.CheckService(service); err != nil {
		return err
	}
	if len(s.boards) > maxServices {
		return wire.ErrLimit
	}
	s.addBoard(service, func(*task) bool { return false })
	return nil
}

// Shutdown makes every name read NOT_SERVING, whatever is found or set, until
// Resume. Streams stay open; Drain does more.
func (s *Server) Shutdown() { s.setDown(true) }

// Resume ends Shutdown: what the checks and SetStatus have come to meanwhile is
// published. (grpc-go's sets everything to SERVING.)
func (s *Server) Resume() { s.setDown(false) }

func (s *Server) setDown(down bool) {
	s.update(func(time.Time) { s.down, s.touched = down, true })
}
