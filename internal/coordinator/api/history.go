package api

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// ListTransitions returns a page of the journal, the newest record first. Records that the
// caller may not read are omitted.
func (a adminService) ListTransitions(ctx context.Context, req *pb.ListTransitionsRequest) (*pb.ListTransitionsResponse, error) {
	q, err := parseQuery(req)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.check(ctx, access.Inspect, access.Of(q.ID)); err != nil {
		return nil, err
	}
	page, err := a.cfg.Registry.Transitions(ctx, q)
	if err != nil {
		return nil, wire.GRPC(err)
	}
	resp, caller := &pb.ListTransitionsResponse{}, a.cfg.caller(ctx)
	for i := range page.Transitions {
		if t := &page.Transitions[i]; caller.May(access.Inspect, nameOf(t)) {
			resp.Transitions = append(resp.Transitions, transitionOf(t))
		}
	}
	if page.Next > 0 {
		resp.NextPageToken = pageToken(page.Next)
	}
	return resp, nil
}

func parseQuery(req *pb.ListTransitionsRequest) (store.Query, error) {
	var v wire.Violations
	id, err := wire.ParseName(req.GetName())
	v.Check("name", err)
	q := store.Query{ID: id, Limit: wire.PageSize(&v, req.GetPageSize())}
	if req.GetPageToken() != "" {
		q.Before, err = parsePageToken(req.GetPageToken())
		v.Check("page_token", err)
	}
	return q, v.Err()
}

// tokenPrefix begins every page token. It contains the version of the token's format.
const tokenPrefix = "t1:"

func pageToken(before uint64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(tokenPrefix + strconv.FormatUint(before, 10)))
}

func parsePageToken(token string) (uint64, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	n, ours := strings.CutPrefix(string(b), tokenPrefix)
	if err == nil && ours && len(token) <= wire.MaxToken {
		if before, err := strconv.ParseUint(n, 10, 64); err == nil && before > 0 {
			return before, nil
		}
	}
	return 0, errors.New("is not one that was handed out; allowed: the next_page_token of the page before")
}

// nameOf returns the access.Name of the subject of a transition: an entry, or the scope of an
// override. If this version of the program cannot parse the scope, its text becomes the Selector of
// the access.Name.
func nameOf(t *store.Transition) access.Name {
	if t.Action == store.ActionNone {
		return access.Of(t.ID)
	}
	scope, err := health.ParseScope(t.Scope)
	if err != nil {
		return access.Name{Selector: t.Scope}
	}
	return access.OfScope(scope)
}

func transitionOf(t *store.Transition) *pb.Transition {
	p := &pb.Transition{At: timestamppb.New(t.At), Lost: t.Lost}
	if t.Lost > 0 {
		return p
	}
	p.Action, p.By, p.Scope = pb.Action(t.Action), t.By, t.Scope
	p.Service, p.Instance = t.ID.Service, t.ID.Instance
	p.Removed = t.Removed
	p.From, p.To, p.Cause, p.Reason = wire.Status(t.From), wire.Status(t.To), pb.Cause(t.Cause), t.Reason
	if !t.FirstFailure.IsZero() {
		p.FirstFailure = timestamppb.New(t.FirstFailure)
	}
	return p
}
