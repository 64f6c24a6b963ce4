package grpchealth

import (
	"context"
	"slices"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// extended serves meshhealth.v1.HealthService.
type extended struct {
	pb.UnimplementedHealthServiceServer
	h *Handlers
}

// Check returns everything about one name.
func (x extended) Check(ctx context.Context, req *pb.CheckRequest) (*pb.CheckResponse, error) {
	var v wire.Violations
	id, err := wire.ParseName(req.GetService())
	v.Check("service", err)
	if err := v.Err(); err != nil {
		return nil, err
	}
	e, ok := x.h.cfg.Feed.Get(x.h.resolve(id))
	if !ok {
		return nil, NotFound(req.GetService())
	}
	h := x.h.health(e, time.Now(), x.h.audience(ctx))
	return &pb.CheckResponse{Status: h.GetStatus(), Health: h}, nil
}

// health returns an entry with its current figures.
func (h *Handlers) health(e *feed.Entry, now time.Time, to feed.Key) *pb.Health {
	s := e.State
	if h.cfg.Figures != nil {
		s.Checks, s.Metrics = h.cfg.Figures(e.ID)
	}
	return wire.Health(&s, now, to == feed.Full)
}

// List returns a page of what matches, ordered by name.
func (x extended) List(ctx context.Context, req *pb.ListRequest) (*pb.ListResponse, error) {
	l, err := wire.ListRequest(req)
	if err != nil {
		return nil, err
	}
	x.h.resolveSelector(&l.Selector)
	entries, revision := x.h.cfg.Feed.Snapshot(l.Selector.Names()...)
	page, more := pageOf(entries, &l)
	to, now := x.h.audience(ctx), time.Now()
	resp := &pb.ListResponse{Revision: revision}
	for _, e := range page {
		resp.Entries = append(resp.Entries, x.h.health(e, now, to))
	}
	if more {
		resp.NextPageToken = l.Token(page[len(page)-1].ID)
	}
	return resp, nil
}

// pageOf returns the entries of one page and whether there are more.
func pageOf(entries []*feed.Entry, l *wire.List) (page []*feed.Entry, more bool) {
	entries = slices.DeleteFunc(entries, func(e *feed.Entry) bool {
		return !l.Selector.Matches(&e.State) || (!l.First && e.ID.Compare(l.After) <= 0)
	})
	slices.SortFunc(entries, func(a, b *feed.Entry) int { return health.ID.Compare(a.ID, b.ID) })
	if len(entries) > l.Size {
		return entries[:l.Size], true
	}
	return entries, false
}
