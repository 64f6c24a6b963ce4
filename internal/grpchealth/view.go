package grpchealth

import (
	"iter"
	"slices"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// view is the part of a feed that one Watch sends. It has the entries that the request
// selects and that the policy allows the caller to read.
type view struct {
	ids      []health.ID // names that the request lists; empty if the request has a selector instead
	selector *wire.Selector
	caller   access.Caller
	format   feed.Format // format in which entries are encoded
	// sent is the set of instances that this Watch has sent to the client. If the new labels,
	// zone or source of such an instance no longer match the request, the Watch sends the instance
	// as removed. sent is nil if the request selects none of the three.
	sent map[health.ID]bool
	// resumed is true if the client has resumed with a token and has not received a snapshot
	// since. Such a client may know instances that are not in sent.
	resumed bool
	// hidesEmpty is the result of Handlers.hidesEmpty: true if the view omits the entry "".
	hidesEmpty bool
}

func newView(w *wire.Watch, caller access.Caller, format feed.Format) view {
	v := view{ids: w.IDs, selector: &w.Selector, caller: caller, format: format, resumed: w.HasToken}
	if len(w.Selector.Labels) > 0 || w.Selector.Zone != "" || w.Selector.Source != "" {
		v.sent = map[health.ID]bool{}
	}
	return v
}

// restart must be called before a snapshot is sent. It empties the field sent, because a snapshot
// replaces all that the client knows.
func (v *view) restart() {
	v.resumed = false
	clear(v.sent)
}

// everything reports whether the request selects all entries, or all but services in zones.
func (v *view) everything() bool {
	return len(v.ids) == 0 && v.selector.Services == nil && v.sent == nil && !v.selector.AggregatesOnly
}

// selects reports whether the request selects an entry. If the request lists names, the
// answer is always true, because the reader reads only entries with these names.
func (v *view) selects(e *feed.Entry) bool {
	return len(v.ids) > 0 || v.selector.Matches(&e.State) && !(v.hidesEmpty && e.ID == (health.ID{}))
}

// detailOf returns the level of detail with which the caller may read every entry of a
// batch. same is false if the policy refuses an entry, or if the level differs between entries.
func (v *view) detailOf(b *feed.Batch) (detail access.Detail, same bool) {
	for i, e := range b.Entries {
		d := v.caller.Decide(access.Read, access.Of(e.ID))
		if !d.Allowed || i > 0 && d.Detail != detail {
			return 0, false
		}
		detail = d.Detail
	}
	return detail, true
}

// fragment returns the encoded form in which the Watch must send an entry. It returns nil if
// the Watch must not send the entry.
func (v *view) fragment(e *feed.Entry) []byte {
	d := v.caller.Decide(access.Read, access.Of(e.ID))
	if d.Allowed && v.selects(e) {
		v.remember(e)
		return encodedEntry(e, v.format, d.Detail)
	}
	if v.sent == nil || e.ID.Aggregate() || !(v.sent[e.ID] || v.resumed && d.Allowed) {
		return nil
	}
	delete(v.sent, e.ID)
	return encodeHealth(v.format, &pb.Health{Service: e.ID.Service, Instance: e.ID.Instance, Revision: e.Revision, Removed: true})
}

func (v *view) remember(e *feed.Entry) {
	switch {
	case v.sent == nil:
	case e.Removed:
		delete(v.sent, e.ID)
	default:
		v.sent[e.ID] = true
	}
}

// unknownNames yields an encoded entry with SERVICE_UNKNOWN for each name that the request
// lists and that is not in known.
func (v *view) unknownNames(known map[health.ID]bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, id := range v.ids {
			if known[id] || !v.caller.May(access.Read, access.Of(id)) {
				continue
			}
			if !yield(encodeHealth(v.format, &pb.Health{Service: id.Service, Instance: id.Instance, Status: pb.Status_STATUS_SERVICE_UNKNOWN})) {
				return
			}
		}
	}
}

// showsFigures reports whether the Watch sends the figures of an entry.
func (v *view) showsFigures(cut feed.Cut, id health.ID) bool {
	if len(v.ids) > 0 && !slices.Contains(v.ids, id) {
		return false
	}
	e, ok := cut.Get(id)
	return ok && v.selects(e) && v.caller.May(access.Read, access.Of(id))
}
