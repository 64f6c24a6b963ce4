package grpchealth

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxStandardList is the largest number of names in an answer of List of grpc.health.v1. List
// returns an error if there are more names.
const maxStandardList = 100

// standard serves grpc.health.v1.
type standard struct {
	healthpb.UnimplementedHealthServer
	h *Handlers
}

// Check returns the status number of one name, such as 1 for SERVING. If the number does not
// express the whole state, trailers say the status, the cause and whether it is unconfirmed.
func (s standard) Check(ctx context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	s.h.noteCall()
	if err := s.h.prove(ctx); err != nil {
		return nil, err
	}
	about, err := s.h.subjectOf(ctx, req)
	if err != nil {
		return nil, err
	}
	shown, err := mayRead(s.h.cfg.StandardRights(ctx), about.id, about.name(req))
	if err != nil {
		return nil, err
	}
	e, ok := s.h.cfg.Feed.Get(about.id)
	if !ok {
		return nil, NotFound(about.name(req))
	}
	s.h.noteOne(ctx, about.id, false)
	if needsTrailers(&e.State) {
		if err := grpc.SetTrailer(ctx, trailers(&e.State, shown.Detail)); err != nil {
			return nil, wire.GRPC(err)
		}
	}
	return &healthpb.HealthCheckResponse{Status: s.h.numberFor(about, &e.State)}, nil
}

// List returns the status number of each service, of the mesh and of the name "". It omits the
// names that the caller may not read. If the :authority of the call names an instance, List
// returns the instances with this name, see listInstances.
func (s standard) List(ctx context.Context, _ *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	s.h.noteCall()
	rights := s.h.cfg.StandardRights(ctx)
	var v wire.Violations
	instance, probed := s.h.instanceOf(ctx, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	if probed {
		statuses, err := s.h.listInstances(rights, instance)
		if len(statuses) > 0 {
			s.h.noteRead(ctx, Reading{Services: slices.Collect(maps.Keys(statuses))})
		}
		return &healthpb.HealthListResponse{Statuses: statuses}, err
	}
	statuses, self := map[string]*healthpb.HealthCheckResponse{}, s.h.resolve(health.ID{})
	for e := range s.h.cfg.Feed.Cut().Aggregates() {
		if rights.Detail(access.Of(e.ID)) == access.Hidden {
			continue
		}
		number := &healthpb.HealthCheckResponse{Status: s.h.numberOf(&e.State)}
		statuses[e.ID.Service] = number
		if e.ID == self {
			statuses[""] = number
		}
		if len(statuses) > maxStandardList {
			return nil, wire.GRPC(fmt.Errorf("%w: more than %d services, the most this List may return; use meshhealth.v1.HealthService/List", domain.ErrLimit, maxStandardList))
		}
	}
	s.h.noteRead(ctx, Reading{})
	return &healthpb.HealthListResponse{Statuses: statuses}, nil
}

// Watch sends the status number of one name at once, and again whenever the number changes. For
// an unknown name it sends SERVICE_UNKNOWN, and the stream stays open.
func (s standard) Watch(req *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	s.h.noteCall()
	if err := s.h.prove(stream.Context()); err != nil {
		return err
	}
	about, err := s.h.subjectOf(stream.Context(), req)
	if err != nil {
		return err
	}
	shown := s.h.cfg.StandardRights(stream.Context()).Detail(access.Of(about.id)) > access.Hidden
	ctx, watcher, done, err := s.h.openWatch(stream.Context())
	if err != nil {
		return wire.GRPC(err)
	}
	defer done()
	s.h.noteOne(ctx, about.id, true)
	n := numberSender{
		h: s.h, about: about, shown: shown, sent: -1,
		stream: timedStream[healthpb.HealthCheckResponse]{stream, s.h, watcher},
	}
	reader := s.h.cfg.Feed.NewReader(feed.Interest{Names: []health.ID{about.id}})
	for {
		step, end, err := nextStep(ctx, reader)
		if err != nil {
			return wire.GRPC(err)
		}
		if err := n.send(&step); err != nil {
			return err
		}
		if end != nil {
			return wire.GRPC(end)
		}
	}
}

// numberSender sends the status number of one name on a stream whenever the number has changed.
type numberSender struct {
	h      *Handlers
	about  subject
	shown  bool // false if the caller may not read the name, which is then unknown
	stream timedStream[healthpb.HealthCheckResponse]
	sent   healthpb.HealthCheckResponse_ServingStatus // status number that was sent last; -1: none was sent yet
}

func (n *numberSender) send(step *feed.Step) error {
	now, known := n.h.numberIn(n.about, step)
	if !n.shown {
		now = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	}
	if !known || now == n.sent {
		return nil
	}
	n.sent = now
	return n.stream.Send(&healthpb.HealthCheckResponse{Status: now})
}

// numberIn returns the status number of a subject after a step, the result of one call of
// reader.Next. The reader must read only the name of the subject. known is false if the step
// does not contain the state of the subject.
func (h *Handlers) numberIn(about subject, step *feed.Step) (number healthpb.HealthCheckResponse_ServingStatus, known bool) {
	for e := range step.Entries {
		if e.Removed {
			return healthpb.HealthCheckResponse_SERVICE_UNKNOWN, true
		}
		return h.numberFor(about, &e.State), true
	}
	return healthpb.HealthCheckResponse_SERVICE_UNKNOWN, step.Snapshot
}

// numberOf returns the status number that grpc.health.v1 sends for a state.
func (h *Handlers) numberOf(s *health.State) healthpb.HealthCheckResponse_ServingStatus {
	if h.cfg.Number != nil {
		return h.cfg.Number(s)
	}
	return healthpb.HealthCheckResponse_ServingStatus(s.Status.GRPC())
}

// needsTrailers reports whether Check sends trailers for a state. Without trailers, the
// answer SERVING means that the state is SERVING, confirmed and has the cause ok.
func needsTrailers(s *health.State) bool {
	return s.Status != health.Serving || s.Cause != health.CauseOK || s.Unconfirmed
}

// trailers returns the trailers of Check for a state.
func trailers(s *health.State, detail access.Detail) metadata.MD {
	cause := s.Cause
	if detail < access.Evidence {
		cause = wire.PublicCause(cause)
	}
	return metadata.Pairs(
		wire.TrailerStatus, s.Status.String(),
		wire.TrailerCause, cause.String(),
		wire.TrailerUnconfirmed, strconv.FormatBool(s.Unconfirmed),
	)
}
