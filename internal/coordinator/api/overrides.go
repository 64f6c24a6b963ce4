package api

import (
	"context"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// SetOverride forces the status of all instances that a scope matches.
func (a adminService) SetOverride(ctx context.Context, req *pb.SetOverrideRequest) (*pb.SetOverrideResponse, error) {
	scope, o, err := parseOverride(req)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.check(ctx, access.VerbOverride, access.OfScope(scope)); err != nil {
		return nil, err
	}
	if err := a.cfg.Registry.SetOverride(ctx, scope, o); err != nil {
		return nil, wire.GRPC(err)
	}
	return &pb.SetOverrideResponse{}, nil
}

// ClearOverride removes an override.
func (a adminService) ClearOverride(ctx context.Context, req *pb.ClearOverrideRequest) (*pb.ClearOverrideResponse, error) {
	var v wire.Violations
	scope, err := wire.ParseScope(req.GetName())
	v.Check("name", err)
	v.MaxLen("author", req.GetAuthor(), wire.MaxAuthor)
	v.MaxLen("reason", req.GetReason(), wire.MaxText)
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := a.cfg.check(ctx, access.VerbOverride, access.OfScope(scope)); err != nil {
		return nil, err
	}
	author, reason := wire.CleanTo(req.GetAuthor(), wire.MaxAuthor), wire.Clean(req.GetReason())
	if err := a.cfg.Registry.ClearOverride(ctx, scope, author, reason); err != nil {
		return nil, wire.GRPC(err)
	}
	return &pb.ClearOverrideResponse{}, nil
}

// ListOverrides returns all overrides that the caller may read.
func (a adminService) ListOverrides(ctx context.Context, _ *pb.ListOverridesRequest) (*pb.ListOverridesResponse, error) {
	rights := a.cfg.Access.Rights(ctx)
	if err := wire.GRPC(checkHistory(rights, health.ID{})); err != nil {
		return nil, err
	}
	all, err := a.cfg.Registry.Overrides(ctx)
	if err != nil {
		return nil, wire.GRPC(err)
	}
	resp := &pb.ListOverridesResponse{}
	for i := range all {
		if rights.Detail(access.OfScope(all[i].Override.Scope)) < access.Evidence {
			continue
		}
		resp.Overrides = append(resp.Overrides, &pb.ForcedScope{
			Override: wire.Override(&all[i].Override, true), Instances: uint32(all[i].Instances),
		})
	}
	return resp, nil
}

func parseOverride(req *pb.SetOverrideRequest) (health.Scope, *health.Override, error) {
	var v wire.Violations
	scope, err := wire.ParseScope(req.GetName())
	v.Check("name", err)
	o := &health.Override{
		Author: requiredText(&v, "author", req.GetAuthor(), wire.MaxAuthor),
		Reason: requiredText(&v, "reason", req.GetReason(), wire.MaxText), SetAt: time.Now(),
	}
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

// requiredText returns value in a form that can be shown. It adds a violation of field to v if value
// is empty or has more than limit bytes.
func requiredText(v *wire.Violations, field, value string, limit int) string {
	if value == "" {
		v.Add(field, "is empty; allowed: 1 to %d bytes", limit)
	}
	v.MaxLen(field, value, limit)
	return wire.CleanTo(value, limit)
}
