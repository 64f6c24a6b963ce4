package rpc

import (
	"context"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// SetOverride forces the status of all that a scope is for.
func (a adminService) SetOverride(ctx context.Context, req *pb.SetOverrideRequest) (*pb.SetOverrideResponse, error) {
	scope, o, err := overrideOf(req)
	if err != nil {
		return nil, err
	}
	if err := a.s.allow(ctx, actionOverride, scope.Key()); err != nil {
		return nil, wire.GRPC(err)
	}
	if err := a.s.cfg.Registry.SetOverride(ctx, scope, o); err != nil {
		return nil, wire.GRPC(err)
	}
	return &pb.SetOverrideResponse{}, nil
}

// ClearOverride ends an override.
func (a adminService) ClearOverride(ctx context.Context, req *pb.ClearOverrideRequest) (*pb.ClearOverrideResponse, error) {
	var v wire.Violations
	scope, err := wire.ParseScope(req.GetName())
	v.Check("name", err)
	v.MaxLen("author", req.GetAuthor(), wire.MaxAuthor)
	v.MaxLen("reason", req.GetReason(), wire.MaxText)
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := a.s.allow(ctx, actionOverride, scope.Key()); err != nil {
		return nil, wire.GRPC(err)
	}
	by, why := wire.CleanTo(req.GetAuthor(), wire.MaxAuthor), wire.Clean(req.GetReason())
	if err := a.s.cfg.Registry.ClearOverride(ctx, scope, by, why); err != nil {
		return nil, wire.GRPC(err)
	}
	return &pb.ClearOverrideResponse{}, nil
}

// ListOverrides returns everything that is forced.
func (a adminService) ListOverrides(ctx context.Context, _ *pb.ListOverridesRequest) (*pb.ListOverridesResponse, error) {
	if err := a.s.allow(ctx, actionRead, health.ID{}); err != nil {
		return nil, wire.GRPC(err)
	}
	all, err := a.s.cfg.Registry.Overrides(ctx)
	if err != nil {
		return nil, wire.GRPC(err)
	}
	resp := &pb.ListOverridesResponse{}
	for i := range all {
		resp.Overrides = append(resp.Overrides, &pb.ForcedScope{
			Override: wire.Override(&all[i].Override, true), Instances: uint32(all[i].Instances),
		})
	}
	return resp, nil
}

func overrideOf(req *pb.SetOverrideRequest) (health.Scope, *health.Override, error) {
	var v wire.Violations
	scope, err := wire.ParseScope(req.GetName())
	v.Check("name", err)
	o := &health.Override{Author: text(&v, "author", req.GetAuthor(), wire.MaxAuthor), Reason: text(&v, "reason", req.GetReason(), wire.MaxText), SetAt: time.Now()}
	switch s, ok := health.StatusFromWire(int32(req.GetStatus())); {
	case ok && (s == health.Serving || s == health.Degraded || s == health.NotServing || s == health.Maintenance):
		o.Status = s
	default:
		v.Add("status", "is %s; allowed: SERVING, DEGRADED, NOT_SERVING or MAINTENANCE", req.GetStatus())
	}
	ttl, err := wire.Between(req.GetTtl(), 0, wire.MinOverrideTTL, wire.MaxOverrideTTL)
	v.Check("ttl", err)
	if ttl > 0 {
		o.ExpiresAt = o.SetAt.Add(ttl)
	}
	return scope, o, v.Err()
}
