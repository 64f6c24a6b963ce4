package api

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// ListTransitions returns a page of the journal. Records that the caller may not read are omitted. So
// a page may have fewer records than asked for, or none, and still have a next page.
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
		resp.NextPageToken = wire.TextToken(strconv.FormatUint(page.Next, 10), historyScope(req))
	}
	return resp, nil
}

func parseQuery(req *pb.ListTransitionsRequest) (store.Query, error) {
	var v wire.Violations
	id, err := wire.ParseName(req.GetName())
	v.Check("name", err)
	q := store.Query{ID: id, OldestFirst: req.GetOldestFirst(), Limit: wire.PageSize(&v, req.GetPageSize())}
	q.From, q.To = historyTime(&v, "from", req.GetFrom()), historyTime(&v, "to", req.GetTo())
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		v.Add("to", "is %s; allowed: a time after from (%s)", q.To.Format(time.RFC3339Nano), q.From.Format(time.RFC3339Nano))
	}
	if next := historyToken(&v, req); q.OldestFirst {
		q.After = next
	} else {
		q.Before = next
	}
	return q, v.Err()
}

// historyTime returns the time of a field. It returns the zero time if the field is absent.
func historyTime(v *wire.Violations, field string, t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	if err := t.CheckValid(); err != nil || t.GetSeconds() < 0 {
		v.Add(field, "is %d s and %d ns after 1970; allowed: a time in the years 1970 to 9999", t.GetSeconds(), t.GetNanos())
		return time.Time{}
	}
	return t.AsTime()
}

// historyScope returns a digest of the fields that must be the same for all pages.
func historyScope(req *pb.ListTransitionsRequest) uint32 {
	return wire.PageScope(&pb.ListTransitionsRequest{
		Name: req.GetName(), From: req.GetFrom(), To: req.GetTo(), OldestFirst: req.GetOldestFirst(),
	})
}

// historyToken returns the number of the record after which the page begins, or 0 for the first page.
func historyToken(v *wire.Violations, req *pb.ListTransitionsRequest) uint64 {
	text := wire.ParseTextToken(v, req.GetPageToken(), historyScope(req))
	if text == "" {
		return 0
	}
	next, err := strconv.ParseUint(text, 10, 64)
	if err != nil || next == 0 {
		v.Add("page_token", "is not one that was handed out; allowed: the next_page_token of the page before")
	}
	return next
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
