package api

import (
	"context"
	"fmt"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// SetOverride forces the status of all instances that a scope matches, for a limited time.
func (a adminService) SetOverride(ctx context.Context, req *pb.SetOverrideRequest) (*pb.SetOverrideResponse, error) {
	scope, o, err := parseOverride(req)
	if err != nil {
		return nil, err
	}
	name, rights := access.OfScope(scope), a.cfg.Access.Rights(ctx)
	rule, err := a.mayOverride(ctx, rights, name)
	if err != nil {
		return nil, err
	}
	length := o.ExpiresAt.Sub(o.SetAt)
	if longest := rights.LongestOverride(name); length > longest {
		err := fmt.Errorf("%w: ttl: is %v; allowed for %s on %s: at most %v", domain.ErrNotAllowed, length, authorOf(ctx, rights), name, longest)
		return nil, wire.GRPC(a.cfg.refuse(ctx, rights, access.VerbOverride.String(), name, err))
	}
	o.Author = authorOf(ctx, rights)
	detail := fmt.Sprintf("%v for %v: %s", o.Status, length, o.Reason)
	err = a.cfg.audited(ctx, access.VerbOverride, name, rule, detail, func() error { return a.cfg.Registry.SetOverride(ctx, scope, o) })
	if err != nil {
		return nil, wire.GRPC(err)
	}
	if l := a.cfg.Access.learning(); l != nil {
		l.allowed(rights, access.Observation{Verb: access.VerbOverride, Longest: length}, name)
	}
	return &pb.SetOverrideResponse{}, nil
}

// mayOverride returns the rule that allows the caller to override a name, or a gRPC error.
func (a adminService) mayOverride(ctx context.Context, rights *access.Rights, name access.Name) (rule string, err error) {
	rule, _ = rights.Allows(access.VerbOverride, name)
	return rule, a.cfg.check(ctx, access.VerbOverride, name)
}

// ClearOverride removes an override.
func (a adminService) ClearOverride(ctx context.Context, req *pb.ClearOverrideRequest) (*pb.ClearOverrideResponse, error) {
	var v wire.Violations
	scope, err := wire.ParseScope(req.GetName())
	v.Check("name", err)
	v.MaxLen("reason", req.GetReason(), wire.MaxText)
	if err := v.Err(); err != nil {
		return nil, err
	}
	name, rights := access.OfScope(scope), a.cfg.Access.Rights(ctx)
	rule, err := a.mayOverride(ctx, rights, name)
	if err != nil {
		return nil, err
	}
	reason := wire.Clean(req.GetReason())
	err = a.cfg.audited(ctx, access.VerbOverride, name, rule, "clear: "+reason, func() error {
		return a.cfg.Registry.ClearOverride(ctx, scope, authorOf(ctx, rights), reason)
	})
	if err != nil {
		return nil, wire.GRPC(err)
	}
	if l := a.cfg.Access.learning(); l != nil {
		l.allowed(rights, access.Observation{Verb: access.VerbOverride}, name)
	}
	return &pb.ClearOverrideResponse{}, nil
}

// ListOverrides returns all overrides that the caller may read.
func (a adminService) ListOverrides(ctx context.Context, _ *pb.ListOverridesRequest) (*pb.ListOverridesResponse, error) {
	rights := a.cfg.Access.Rights(ctx)
	if err := a.cfg.checkHistory(ctx, rights, health.ID{}); err != nil {
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
	o := &health.Override{Reason: requiredText(&v, "reason", req.GetReason(), wire.MaxText), SetAt: time.Now()}
	switch s, ok := health.StatusFromWire(int32(req.GetStatus())); {
	case ok && (s == health.Serving || s == health.Degraded || s == health.NotServing || s == health.Maintenance):
		o.Status = s
	default:
		v.Add("status", "is %s; allowed: SERVING, DEGRADED, NOT_SERVING or MAINTENANCE", req.GetStatus())
	}
	ttl, err := wire.Between(req.GetTtl(), 0, wire.MinOverrideTTL, wire.MaxOverrideTTL)
	if err == nil && ttl == 0 {
		err = fmt.Errorf("is missing; allowed: %v to %v", wire.MinOverrideTTL, wire.MaxOverrideTTL)
	}
	v.Check("ttl", err)
	o.ExpiresAt = o.SetAt.Add(ttl)
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
