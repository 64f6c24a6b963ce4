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

// maxHistoryReads is how often the journal is read for one page of a caller that may not read every name. Each
// read returns at most store.MaxPage records, so that the whole journal of the default size is read.
const maxHistoryReads = 100

// ListTransitions returns a page of the journal. Records that the caller may not read are omitted: the
// journal is read further until the page is full and one more record follows. So the records of others decide
// neither how long a page is, nor whether there is a next one. In a longer journal, a page after very
// many records of others may be short and have a next page.
func (a adminService) ListTransitions(ctx context.Context, req *pb.ListTransitionsRequest) (*pb.ListTransitionsResponse, error) {
	rights := a.cfg.Access.Rights(ctx)
	tokens := historyTokens{scope: historyScope(req)}
	if !rights.ReadsAll() {
		tokens.cipher = a.tokens // the numbers of records would tell how many there are that the caller cannot see
	}
	q, err := parseQuery(req, tokens)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.checkHistory(ctx, rights, q.ID); err != nil {
		return nil, err
	}
	read := a.cfg.Registry.Transitions
	if !rights.ReadsAll() {
		read = filteredHistory{read, rights}.page
	}
	page, err := read(ctx, q)
	if err != nil {
		return nil, wire.GRPC(err)
	}
	resp := &pb.ListTransitionsResponse{NextPageToken: tokens.make(page.Next)}
	for i := range page.Transitions {
		if t := &page.Transitions[i]; rights.Detail(nameOf(t)) >= access.Evidence {
			resp.Transitions = append(resp.Transitions, transitionOf(t))
		}
	}
	return resp, nil
}

// filteredHistory reads the part of the journal that a caller may read.
type filteredHistory struct {
	read   func(context.Context, store.Query) (store.Page, error)
	rights *access.Rights
}

// page returns a page without the records that the caller may not read.
func (f filteredHistory) page(ctx context.Context, q store.Query) (page store.Page, err error) {
	limit := q.Limit
	q.Limit = store.MaxPage
	for range maxHistoryReads {
		part, err := f.read(ctx, q)
		if err != nil {
			return store.Page{}, err
		}
		for i := range part.Transitions {
			t := &part.Transitions[i]
			switch {
			case f.rights.Detail(nameOf(t)) < access.Evidence:
			case len(page.Transitions) == limit:
				page.Next = page.Transitions[limit-1].Seq
				return page, nil
			default:
				page.Transitions = append(page.Transitions, *t)
			}
		}
		if page.Next = part.Next; page.Next == 0 {
			break
		}
		if q.OldestFirst {
			q.After = part.Next
		} else {
			q.Before = part.Next
		}
	}
	return page, nil
}

// checkHistory returns a gRPC error if the caller may not read the history of a name. Everybody who may read
// the evidence of any service may ask for the history of all, and gets that of these services.
func (c *Config) checkHistory(ctx context.Context, rights *access.Rights, id health.ID) error {
	if (id == health.ID{}) && rights.HasEvidence() {
		if l := c.Access.learning(); l != nil {
			l.readAll(rights, access.Evidence)
		}
		return nil
	}
	return c.checkEvidence(ctx, access.Of(id))
}

func parseQuery(req *pb.ListTransitionsRequest, tokens historyTokens) (store.Query, error) {
	var v wire.Violations
	id, err := wire.ParseName(req.GetName())
	v.Check("name", err)
	q := store.Query{ID: id, OldestFirst: req.GetOldestFirst(), Limit: wire.PageSize(&v, req.GetPageSize())}
	q.From, q.To = historyTime(&v, "from", req.GetFrom()), historyTime(&v, "to", req.GetTo())
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		v.Add("to", "is %s; allowed: a time after from (%s)", q.To.Format(time.RFC3339Nano), q.From.Format(time.RFC3339Nano))
	}
	if next := tokens.parse(&v, req.GetPageToken()); q.OldestFirst {
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

// historyTokens makes and parses page tokens. A token has the number of the record after which the page begins.
type historyTokens struct {
	scope  uint32
	cipher *wire.TokenCipher // nil if the caller may know the numbers
}

// make returns the token for a number, or "" for 0.
func (t historyTokens) make(next uint64) string {
	switch {
	case next == 0:
		return ""
	case t.cipher != nil:
		return t.cipher.Encode(wire.Token{Revision: next, Scope: uint64(t.scope)})
	}
	return wire.TextToken(strconv.FormatUint(next, 10), t.scope)
}

// parse returns the number in a token, or 0 for the first page.
func (t historyTokens) parse(v *wire.Violations, token string) uint64 {
	if token == "" {
		return 0
	}
	var next uint64
	var err error
	if t.cipher != nil {
		sealed, ok := t.cipher.Decode(token)
		if next = sealed.Revision; !ok || sealed.Epoch != 0 || sealed.Scope != uint64(t.scope) {
			next = 0
		}
	} else if text := wire.ParseTextToken(v, token, t.scope); text != "" {
		next, err = strconv.ParseUint(text, 10, 64)
	} else {
		return 0 // ParseTextToken has added the fault
	}
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
