package grpchealth

import (
	"hash/maphash"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

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
	rights   *access.Rights
	format   feed.Format // format in which entries are encoded
	// filtered is true if the caller may not read every name. Then told has a digest of what the Watch has
	// sent of each aggregate. A change that the caller cannot see is not sent.
	filtered bool
	told     map[health.ID]uint64
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

func newView(w *wire.Watch, rights *access.Rights, format feed.Format) view {
	v := view{ids: w.IDs, selector: &w.Selector, rights: rights, format: format, resumed: w.HasToken}
	if v.filtered = !rights.ReadsAll(); v.filtered {
		v.told = map[health.ID]uint64{}
	}
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
	clear(v.told)
}

// everything reports whether the Watch sends all entries, or all but services in zones.
func (v *view) everything() bool {
	return !v.filtered && len(v.ids) == 0 && v.selector.Services == nil && v.sent == nil && !v.selector.AggregatesOnly
}

// selects reports whether the request selects an entry. If the request lists names, the
// answer is always true, because the reader reads only entries with these names.
func (v *view) selects(e *feed.Entry) bool {
	return len(v.ids) > 0 || v.selector.Matches(&e.State) && !(v.hidesEmpty && e.ID == (health.ID{}))
}

// aggregates yields the aggregates that the Watch may send.
func (v *view) aggregates(cut feed.Cut) iter.Seq[*feed.Entry] {
	return func(yield func(*feed.Entry) bool) {
		for _, id := range v.ids {
			if e, ok := cut.Get(id); ok && id.Aggregate() && !yield(e) {
				return
			}
		}
		if len(v.ids) > 0 {
			return
		}
		for e := range cut.Of(v.selector.Names()...) {
			if e.ID.Aggregate() && !yield(e) {
				return
			}
		}
	}
}

// shownOf returns what the caller sees of every entry of a batch. same is false if the caller may not
// read an entry, or if it sees more of one than of another.
func (v *view) shownOf(b *feed.Batch) (shown access.Shown, same bool) {
	for i, e := range b.Entries {
		s := v.rights.Shows(access.Of(e.ID))
		if s.Detail == access.Hidden || i > 0 && s != shown {
			return access.Shown{}, false
		}
		shown = s
	}
	return shown, true
}

// fragment returns the encoded form in which the Watch must send an entry. It returns nil if
// the Watch must not send the entry.
func (v *view) fragment(e *feed.Entry) []byte {
	shown := v.rights.Shows(access.Of(e.ID))
	if shown.Detail > access.Hidden && v.selects(e) {
		v.remember(e)
		if !v.filtered {
			return encodedEntry(e, v.format, shown)
		}
		if !v.changed(e, shown) {
			return nil
		}
		return filteredEntry(e, v.format, shown, v.rights.Reads)
	}
	if v.sent == nil || e.ID.Aggregate() || !(v.sent[e.ID] || v.resumed && shown.Detail > access.Hidden) {
		return nil
	}
	delete(v.sent, e.ID)
	h := &pb.Health{Service: e.ID.Service, Instance: e.ID.Instance, Revision: e.Revision, Removed: true}
	if v.filtered {
		h.Revision = 0
	}
	return encodeHealth(v.format, h)
}

// changed reports whether an entry differs from what the Watch has sent of it, for a caller that may not
// read every name. The numbers of others that an aggregate has may be all that has changed.
func (v *view) changed(e *feed.Entry, shown access.Shown) bool {
	if !e.ID.Aggregate() {
		return true
	}
	h := entryHealth(e, e.At, shown)
	wire.Filter(h, v.rights.Reads)
	h.At, h.Age = nil, nil
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(h)
	if err != nil {
		return true // impossible, because all text was cleaned before
	}
	sum := maphash.Bytes(digestSeed, b)
	before, told := v.told[e.ID]
	if e.Removed {
		delete(v.told, e.ID)
	} else {
		v.told[e.ID] = sum
	}
	return !told || before != sum
}

// digestSeed is the seed of the digests in view.told.
var digestSeed = maphash.MakeSeed()

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
// lists and that is not in known. It treats names that the caller may not read in the same way.
func (v *view) unknownNames(known map[health.ID]bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, id := range v.ids {
			if known[id] && v.rights.Detail(access.Of(id)) > access.Hidden {
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
	return ok && v.selects(e) && v.rights.Detail(access.Of(id)) > access.Hidden
}
