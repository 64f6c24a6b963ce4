package grpchealth

import (
	"context"
	"iter"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Register adds grpc.health.v1 and meshhealth.v1.HealthService to a gRPC server. The caller
// must not have added either of them before.
func (h *Handlers) Register(r grpc.ServiceRegistrar) {
	healthpb.RegisterHealthServer(r, standard{h: h})
	pb.RegisterHealthServiceServer(r, h.Service(feed.Protobuf))
}

// Service returns meshhealth.v1.HealthService. Its Watch sends entries in a format. For the format
// JSON it calls SendMsg of the stream, and each message has a method AppendJSON([]byte) []byte.
func (h *Handlers) Service(format feed.Format) pb.HealthServiceServer {
	return extended{h: h, format: format}
}

// extended serves meshhealth.v1.HealthService.
type extended struct {
	pb.UnimplementedHealthServiceServer
	h      *Handlers
	format feed.Format // format of the entries that Watch sends
}

// Check returns the whole state of one name, with the level of detail that the policy allows.
func (x extended) Check(ctx context.Context, req *pb.CheckRequest) (*pb.CheckResponse, error) {
	x.h.noteCall()
	if err := x.h.prove(ctx); err != nil {
		return nil, err
	}
	var v wire.Violations
	id, err := wire.ParseName(req.GetService())
	v.Check("service", err)
	if err := v.Err(); err != nil {
		return nil, err
	}
	id = x.h.resolve(id)
	rights := x.h.cfg.Rights(ctx)
	shown, err := mayRead(rights, id, req.GetService())
	if err != nil {
		return nil, err
	}
	e, ok := x.h.cfg.Feed.Get(id)
	if !ok {
		return nil, NotFound(req.GetService())
	}
	x.h.noteOne(ctx, id, false)
	h := x.h.currentHealth(e, time.Now(), shown, rights)
	return &pb.CheckResponse{Status: h.GetStatus(), Health: h}, nil
}

// currentHealth returns the message for an entry. If the function Config.Metrics is set, the
// checks and metrics in the message are the results of this function.
func (h *Handlers) currentHealth(e *feed.Entry, now time.Time, shown access.Shown, rights *access.Rights) *pb.Health {
	s := e.State
	if h.cfg.Metrics != nil {
		s.Checks, s.Metrics = h.cfg.Metrics(e.ID)
	} else {
		s.Metrics = h.metricsOf(e)
	}
	m := wire.Health(&s, now, shown)
	if !rights.ReadsAll() {
		wire.Filter(m, rights.Reads)
	}
	return m
}

// List returns one page of the entries that the request selects, ordered by name. It omits
// entries that the caller may not read. If the request has a group_by, List counts these
// entries instead, see pageOfGroups.
func (x extended) List(ctx context.Context, req *pb.ListRequest) (*pb.ListResponse, error) {
	x.h.noteCall()
	l, err := wire.ListRequest(req)
	if err != nil {
		return nil, err
	}
	x.h.resolveSelector(&l.Selector)
	cut, rights := x.h.cfg.Feed.Cut(), x.h.cfg.Rights(ctx)
	x.h.noteRead(ctx, Reading{Services: l.Selector.Names()})
	if !l.GroupBy.IsZero() {
		return pageOfGroups(cut, &l, rights), nil
	}
	p := pager{list: &l, hidesEmpty: x.h.hidesEmpty(&l.Selector), rights: rights}
	page, more := p.page(cut)
	now := time.Now()
	resp := &pb.ListResponse{Revision: revisionFor(rights, cut)}
	size := 0
	for i, on := range page {
		entry := x.h.currentHealth(on.entry, now, on.shown, rights)
		// If a client does not read a page, gRPC stores the page until the connection closes.
		// Therefore the size of a page has a limit.
		if size += proto.Size(entry); size > wire.MaxPageBytes && i > 0 {
			page, more = page[:i], true
			break
		}
		resp.Entries = append(resp.Entries, entry)
	}
	if more {
		resp.NextPageToken = l.Token(page[len(page)-1].entry.ID)
	}
	return resp, nil
}

// pager selects the entries of one page of List.
type pager struct {
	list       *wire.List
	hidesEmpty bool // result of Handlers.hidesEmpty: true if the page omits the entry ""
	rights     *access.Rights
}

// readable is an entry and what the caller sees of it.
type readable struct {
	entry *feed.Entry
	shown access.Shown
}

// page returns the entries of the page. more reports whether entries for another page follow.
// The time grows with the number of entries that page returns or skips.
func (p *pager) page(cut feed.Cut) (page []readable, more bool) {
	for e := range p.candidates(cut) {
		if !p.list.Selector.Matches(&e.State) || p.hidesEmpty && e.ID == (health.ID{}) {
			continue
		}
		shown := p.rights.Shows(access.Of(e.ID))
		if shown.Detail == access.Hidden {
			continue
		}
		if len(page) == p.list.Size {
			return page, true
		}
		page = append(page, readable{e, shown})
	}
	return page, false
}

// candidates yields the entries from which the method page selects, in the order of names. It
// does not yield the entries of earlier pages.
func (p *pager) candidates(cut feed.Cut) iter.Seq[*feed.Entry] {
	if p.list.First {
		return cut.Of(p.list.Selector.Names()...)
	}
	return cut.After(p.list.After, p.list.Selector.Names()...)
}

// Watch first sends a snapshot of the selected entries. If the caller has a valid resume token,
// Watch sends the changes after the token instead. After that it sends every change.
func (x extended) Watch(req *pb.WatchRequest, stream grpc.ServerStreamingServer[pb.WatchResponse]) error {
	x.h.noteCall()
	if err := x.h.prove(stream.Context()); err != nil {
		return err
	}
	w, err := wire.WatchRequest(req)
	if err != nil {
		return err
	}
	x.h.resolveWatch(&w)
	rights := x.h.cfg.Rights(stream.Context())
	if !rights.ReadsAll() {
		w.Token = wire.Token{}
		if t, ok := x.h.tokens.Decode(req.GetResumeToken()); ok && t.Scope == w.Scope {
			w.Token = t
		}
	}
	ctx, watcher, done, err := x.h.openWatch(stream.Context())
	if err != nil {
		return wire.GRPC(err)
	}
	defer done()
	x.h.noteRead(ctx, Reading{Names: w.IDs, Services: w.Selector.Names(), Stays: true, Addresses: true})
	s := x.h.newSender(&w, rights, x.format, timedStream[pb.WatchResponse]{stream, x.h, watcher})
	reader := x.h.newReader(&w)
	if w.HasToken {
		if err := s.resume(); err != nil {
			return err
		}
	}
	for {
		step, end, err := nextStep(ctx, reader)
		if err != nil {
			return wire.GRPC(err)
		}
		if err := s.send(&step); err != nil {
			return err
		}
		if end != nil {
			return wire.GRPC(end)
		}
	}
}

// resolveWatch replaces the name "" in the IDs and in the selector of a request by Config.Self
// if the feed has no entry "".
func (h *Handlers) resolveWatch(w *wire.Watch) {
	for i, id := range w.IDs {
		w.IDs[i] = h.resolve(id)
	}
	h.resolveSelector(&w.Selector)
}

// newReader returns a reader of the feed for a request of Watch.
func (h *Handlers) newReader(w *wire.Watch) *feed.Reader {
	in := feed.Interest{
		Services: w.Selector.Names(), Names: w.IDs,
		Period:  int((w.Heartbeat + time.Second - 1) / time.Second), // in heartbeats of the feed, which sends one each second
		Figures: int((w.FiguresEvery + time.Second - 1) / time.Second),
	}
	if w.HasToken {
		return h.cfg.Feed.Resume(in, feed.Cursor{Epoch: w.Token.Epoch, Revision: w.Token.Revision})
	}
	return h.cfg.Feed.NewReader(in)
}
