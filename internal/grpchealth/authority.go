package grpchealth

import (
	"context"
	"fmt"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// subject is what a request of grpc.health.v1 asks about.
type subject struct {
	id health.ID
	// probed is true if the :authority of the request names the instance. Such a request is
	// the probe of a load balancer that asks here instead of at the instance.
	probed bool
}

// name returns the name of the subject for an error text.
func (s subject) name(req *healthpb.HealthCheckRequest) string {
	if s.probed {
		return s.id.String()
	}
	return req.GetService()
}

// subjectOf returns the subject of a request. It returns an error if the name in the request or
// the :authority is malformed.
func (h *Handlers) subjectOf(ctx context.Context, req *healthpb.HealthCheckRequest) (subject, error) {
	var v wire.Violations
	instance, probed := h.instanceOf(ctx, &v)
	if !probed {
		v.MaxLen("service", req.GetService(), wire.MaxFullName)
		return subject{id: h.resolve(health.ParseID(req.GetService()))}, v.Err()
	}
	v.Check("service", wire.CheckService(req.GetService()))
	return subject{id: health.ID{Service: req.GetService(), Instance: instance}, probed: true}, v.Err()
}

// instanceOf returns the name of the instance in the :authority of a call. probed is false if
// the authority is the name of a host. It adds a fault to v if the authority is malformed.
func (h *Handlers) instanceOf(ctx context.Context, v *wire.Violations) (instance string, probed bool) {
	if !h.cfg.Instances {
		return "", false
	}
	for _, authority := range metadata.ValueFromIncomingContext(ctx, ":authority") {
		instance, named, err := wire.ParseAuthority(authority)
		v.Check(":authority", err)
		if named {
			return instance, true
		}
	}
	return "", false
}

// numberFor returns the status number that a request receives for a state of its subject.
func (h *Handlers) numberFor(s subject, state *health.State) healthpb.HealthCheckResponse_ServingStatus {
	if s.probed {
		return h.probedNumber(state)
	}
	return h.numberOf(state)
}

// probedNumber returns the status number that a load balancer receives when it probes an
// instance here. A load balancer takes every number but SERVING as a failure. So an instance
// that keeps its route, for example UNKNOWN after a restart of the coordinator, stays SERVING
// if it received traffic before.
func (h *Handlers) probedNumber(s *health.State) healthpb.HealthCheckResponse_ServingStatus {
	if s.RouteKept && s.Route.Routable() {
		return healthpb.HealthCheckResponse_SERVING
	}
	return h.numberOf(s)
}

// listInstances returns the status number of each instance with this name, by the name of its
// service. It omits the instances that the caller may not read.
func (h *Handlers) listInstances(rights *access.Rights, name string) (map[string]*healthpb.HealthCheckResponse, error) {
	statuses := map[string]*healthpb.HealthCheckResponse{}
	cut := h.cfg.Feed.Cut()
	for service := range cut.Aggregates() {
		id := health.ID{Service: service.ID.Service, Instance: name}
		e, ok := instanceIn(cut, id)
		if !ok || rights.Detail(access.Of(id)) == access.Hidden {
			continue
		}
		statuses[id.Service] = &healthpb.HealthCheckResponse{Status: h.probedNumber(&e.State)}
		if len(statuses) > maxStandardList {
			return nil, wire.GRPC(fmt.Errorf("%w: more than %d services have an instance %q, the most this List may return; use Check",
				domain.ErrLimit, maxStandardList, name))
		}
	}
	return statuses, nil
}

// instanceIn returns the entry of an instance. ok is false for the name of an aggregate, such as
// a zone.
func instanceIn(cut feed.Cut, id health.ID) (e *feed.Entry, ok bool) {
	if id.Aggregate() {
		return nil, false
	}
	return cut.Get(id)
}
