package grpchealth

import (
	"context"
	"fmt"
	"strconv"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The trailers of a standard Check, for who wants to know more than the
// standard can say.
const (
	TrailerStatus      = "meshhealth-status"
	TrailerCause       = "meshhealth-cause"
	TrailerUnconfirmed = "meshhealth-unconfirmed"
)

// maxStandardList is the standard's own limit of List.
const maxStandardList = 100

// standard serves grpc.health.v1.
type standard struct {
	healthpb.UnimplementedHealthServer
	h *Handlers
}

// Check answers the standard's Check.
func (s standard) Check(ctx context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	id, err := s.name(req)
	if err != nil {
		return nil, err
	}
	e, ok := s.h.cfg.Feed.Get(id)
	if !ok {
		return nil, NotFound(req.GetService())
	}
	if err := grpc.SetTrailer(ctx, trailer(&e.State)); err != nil {
		return nil, wire.GRPC(err)
	}
	return &healthpb.HealthCheckResponse{Status: s.h.number(e.Status)}, nil
}

// List answers the standard's List: services, the mesh, and "".
func (s standard) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	entries, _ := s.h.cfg.Feed.Snapshot()
	statuses := map[string]*healthpb.HealthCheckResponse{}
	for _, e := range entries {
		if e.ID.Instance != "" {
			continue
		}
		statuses[e.ID.Service] = &healthpb.HealthCheckResponse{Status: s.h.number(e.Status)}
		if e.ID == s.h.cfg.Self {
			statuses[""] = statuses[e.ID.Service]
		}
		if len(statuses) > maxStandardList {
			return nil, wire.GRPC(fmt.Errorf("%w: more than %d services, the most this List may return; use meshhealth.v1.HealthService/List", wire.ErrLimit, maxStandardList))
		}
	}
	return &healthpb.HealthListResponse{Statuses: statuses}, nil
}

// Watch answers the standard's Watch: the number now, then whenever it
// changes. An unknown name is a number too, and stays followed.
func (s standard) Watch(req *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	id, err := s.name(req)
	if err != nil {
		return err
	}
	ctx, done, err := s.h.watching(stream.Context())
	if err != nil {
		return wire.GRPC(err)
	}
	defer done()
	reader := s.h.cfg.Feed.NewReader(feed.Interest{Services: []string{id.Service}})
	sent := healthpb.HealthCheckResponse_ServingStatus(-1)
	for {
		step, err := reader.Next(ctx)
		if err != nil {
			return wire.GRPC(err)
		}
		now, told := s.h.told(&step, id)
		if !told || now == sent {
			continue
		}
		if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
			return err
		}
		sent = now
	}
}

// name reads the name asked for. Any name within reason may be asked for.
func (s standard) name(req *healthpb.HealthCheckRequest) (health.ID, error) {
	var v wire.Violations
	v.MaxLen("service", req.GetService(), wire.MaxFullName)
	return s.h.resolve(health.ParseID(req.GetService())), v.Err()
}

// told returns what a step says of one name, if it says anything.
func (h *Handlers) told(step *feed.Step, id health.ID) (number healthpb.HealthCheckResponse_ServingStatus, told bool) {
	for _, e := range step.Entries {
		switch {
		case e.ID != id:
		case e.Removed:
			return healthpb.HealthCheckResponse_SERVICE_UNKNOWN, true
		default:
			return h.number(e.Status), true
		}
	}
	return healthpb.HealthCheckResponse_SERVICE_UNKNOWN, step.Snapshot
}

func (h *Handlers) number(s health.Status) healthpb.HealthCheckResponse_ServingStatus {
	if s == health.Degraded && h.cfg.DegradedNotServing {
		s = health.NotServing
	}
	return healthpb.HealthCheckResponse_ServingStatus(s.GRPC())
}

func trailer(s *health.State) metadata.MD {
	return metadata.Pairs(
		TrailerStatus, s.Status.String(),
		TrailerCause, s.Cause.String(),
		TrailerUnconfirmed, strconv.FormatBool(s.Unconfirmed),
	)
}

// NotFound is the answer to a name nobody knows.
func NotFound(name string) error {
	return wire.GRPC(fmt.Errorf("service %q: %w", wire.CleanTo(name, wire.MaxFullName), wire.ErrNotFound))
}
