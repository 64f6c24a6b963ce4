package rpc

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
	"github.com/meshhealth/meshhealth/internal/wire"
)

// adminService serves AdminService.
type adminService struct {
	pb.UnimplementedAdminServiceServer
	s *Server
}

// ListTransitions returns a page of the journal, newest first.
func (a adminService) ListTransitions(ctx context.Context, req *pb.ListTransitionsRequest) (*pb.ListTransitionsResponse, error) {
	q, err := query(req)
	if err != nil {
		return nil, err
	}
	if err := a.s.allow(ctx, actionRead, q.ID); err != nil {
		return nil, wire.GRPC(err)
	}
	page, err := a.s.cfg.Registry.Transitions(ctx, q)
	if err != nil {
		return nil, wire.GRPC(err)
	}
	resp := &pb.ListTransitionsResponse{}
	for i := range page.Transitions {
		resp.Transitions = append(resp.Transitions, transition(&page.Transitions[i]))
	}
	if page.Next > 0 {
		resp.NextPageToken = journalToken(page.Next)
	}
	return resp, nil
}

func query(req *pb.ListTransitionsRequest) (store.Query, error) {
	var v wire.Violations
	id, err := wire.ParseName(req.GetName())
	v.Check("name", err)
	q := store.Query{ID: id, Limit: wire.PageSize(&v, req.GetPageSize())}
	if req.GetPageToken() != "" {
		q.Before, err = parseJournalToken(req.GetPageToken())
		v.Check("page_token", err)
	}
	return q, v.Err()
}

const journalPrefix = "t1:"

func journalToken(before uint64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(journalPrefix + strconv.FormatUint(before, 10)))
}

func parseJournalToken(token string) (uint64, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	n, ours := strings.CutPrefix(string(b), journalPrefix)
	if err == nil && ours && len(token) <= wire.MaxToken {
		if before, err := strconv.ParseUint(n, 10, 64); err == nil && before > 0 {
			return before, nil
		}
	}
	return 0, errors.New("is not one that was handed out; allowed: the next_page_token of the page before")
}

func transition(t *store.Transition) *pb.Transition {
	p := &pb.Transition{At: timestamppb.New(t.At), Lost: t.Lost}
	if t.Lost > 0 {
		return p
	}
	p.Action, p.By = pb.Action(t.Action), t.By
	if scope, err := health.ScopeOfKey(t.ID); err == nil && t.Action != store.ActionNone {
		p.Scope = scope.String()
	}
	if t.ID.Service != "" { // not the key of a selector
		p.Service, p.Instance = t.ID.Service, t.ID.Instance
	}
	p.Removed = t.Removed
	p.From, p.To, p.Cause, p.Reason = wire.Status(t.From), wire.Status(t.To), pb.Cause(t.Cause), t.Reason
	if !t.FirstFailure.IsZero() {
		p.FirstFailure = timestamppb.New(t.FirstFailure)
	}
	return p
}

// text checks one that must be there.
func text(v *wire.Violations, field, value string, limit int) string {
	if value == "" {
		v.Add(field, "is empty; allowed: 1 to %d bytes", limit)
	}
	v.MaxLen(field, value, limit)
	return wire.CleanTo(value, limit)
}

// GetCoordinator returns the coordinator's state of itself.
func (a adminService) GetCoordinator(ctx context.Context, _ *pb.GetCoordinatorRequest) (*pb.GetCoordinatorResponse, error) {
	if err := a.s.allow(ctx, actionRead, health.ID{}); err != nil {
		return nil, wire.GRPC(err)
	}
	resp := &pb.GetCoordinatorResponse{
		Build: a.s.cfg.Build, Epoch: a.s.cfg.Feed.Epoch(), Revision: a.s.cfg.Feed.Revision(),
		Watchers: uint32(a.s.Watchers()),
	}
	if e, ok := a.s.cfg.Feed.Get(health.ID{}); ok {
		resp.Status, resp.Reason = wire.Status(e.Status), e.Reason
	}
	a.s.cfg.Stats(resp)
	return resp, nil
}
