package api

import (
	"context"
	"fmt"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/explain"
	"github.com/meshhealth/meshhealth/internal/routing"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// ListRoutes returns a page of the instances of a service, as routing clients see them.
func (a adminService) ListRoutes(ctx context.Context, req *pb.ListRoutesRequest) (*pb.ListRoutesResponse, error) {
	var v wire.Violations
	v.Check("service", wire.CheckService(req.GetService()))
	limit := wire.PageSize(&v, req.GetPageSize())
	scope := wire.PageScope(&pb.ListRoutesRequest{Service: req.GetService()})
	after := wire.ParseTextToken(&v, req.GetPageToken(), scope)
	if err := v.Err(); err != nil {
		return nil, err
	}
	name := access.Of(health.ID{Service: req.GetService()})
	rights, r := a.cfg.Access.Rights(ctx), &routes{}
	err := rights.Check(access.VerbRoute, name)
	switch {
	case err == nil:
		if l := a.cfg.Access.learning(); l != nil {
			l.route(rights, name)
		}
		r = routesOf(a.cfg, req.GetService())
	case rights.Detail(name) > access.Hidden: // else the service does not exist for the caller
		return nil, wire.GRPC(a.cfg.refuse(ctx, rights, access.VerbRoute.String(), name, err))
	}
	if len(r.states) == 0 {
		return nil, wire.GRPC(fmt.Errorf("%w: no instance of %q is registered", domain.ErrNotFound, req.GetService()))
	}
	resp := r.summary()
	for i, s := range r.states {
		switch {
		case s.ID.Instance <= after:
		case len(resp.Instances) == limit:
			resp.NextPageToken = wire.TextToken(resp.Instances[limit-1].GetHealth().GetInstance(), scope)
			return resp, nil
		default:
			resp.Instances = append(resp.Instances, r.instance(i, rights))
		}
	}
	return resp, nil
}

// routes has the instances of a service, in the order of their names, with both renderings.
type routes struct {
	now              time.Time
	states           []*health.State
	spillOver, plain []*pb.Placement // by the index in states
}

// healthNames has the health status of EDS for each route.
var healthNames = map[health.Route]string{
	health.RouteHealthy: "HEALTHY", health.RouteDegraded: "DEGRADED", health.RouteUnhealthy: "UNHEALTHY", health.RouteDraining: "DRAINING",
}

func routesOf(cfg *Config, service string) *routes {
	r := &routes{now: time.Now()}
	var endpoints []routing.Endpoint
	for e := range cfg.Feed.Cut().Of(service) {
		if e.Spec != nil {
			r.states = append(r.states, &e.State)
			endpoints = append(endpoints, routing.EndpointOf(&e.State))
		}
	}
	spillOver, plain := routing.Both(endpoints)
	r.spillOver = placements(len(endpoints), spillOver, func(i int) string { return healthNames[endpoints[i].Route] })
	r.plain = placements(len(endpoints), plain, func(int) string { return healthNames[health.RouteHealthy] })
	return r
}

// placements returns the place of each of n endpoints in a rendering.
func placements(n int, localities []routing.Locality, healthOf func(int) string) []*pb.Placement {
	all := make([]*pb.Placement, n)
	for i := range all {
		all[i] = &pb.Placement{}
	}
	for _, l := range localities {
		for _, i := range l.Endpoints {
			all[i] = &pb.Placement{Present: true, Health: healthOf(i), Priority: l.Priority, SubZone: l.SubZone, LocalityWeight: l.Weight}
		}
	}
	return all
}

// summary returns a response without instances.
func (r *routes) summary() *pb.ListRoutesResponse {
	resp := &pb.ListRoutesResponse{}
	var healthy, usable uint64
	for i, s := range r.states {
		if r.plain[i].GetPresent() {
			usable++
			if s.Route == health.RouteHealthy {
				healthy++
			}
		}
		// The panic threshold counts the same instances.
		if s.Route.Routable() {
			resp.Routable++
		}
		absent := s.Route == health.RouteDuplicate || s.Route == health.RouteUnproven
		if s.Route.Routable() || !absent && s.Status == health.NotServing {
			resp.Counted++
		}
		if s.RouteKept && s.Status == health.NotServing {
			resp.Held++
		}
	}
	resp.HealthyPercent = routing.HealthyPercent(healthy, usable-healthy)
	return resp
}

// instance returns an instance for a caller that may see where it receives traffic.
func (r *routes) instance(i int, rights *access.Rights) *pb.RoutedInstance {
	s := r.states[i]
	shown := access.Shown{Detail: max(access.Status, rights.Detail(access.Of(s.ID))), Routes: true}
	h := wire.Health(s, r.now, shown)
	if !rights.ReadsAll() {
		wire.Filter(h, rights.Reads)
	}
	told := *s
	if shown.Detail < access.Evidence {
		told.Cause = wire.PublicCause(s.Cause)
	}
	return &pb.RoutedInstance{Health: h, Spillover: r.spillOver[i], Plain: r.plain[i], Why: wire.Clean(explain.Route(&told))}
}
