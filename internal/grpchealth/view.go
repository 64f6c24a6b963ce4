package grpchealth

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// entriesField is the number of WatchResponse.entries.
const entriesField = 4

// view is what one Watch sees of a feed.
type view struct {
	ids      []health.ID
	selector *wire.Selector
	// A selector by labels is left when labels change. What was sent is
	// remembered, so that it can be taken back; after a resume it may have
	// been anything.
	sent    map[health.ID]bool
	resumed bool
}

func newView(w *wire.Watch) view {
	v := view{ids: w.IDs, selector: &w.Selector, resumed: w.HasToken}
	if len(w.Selector.Labels) > 0 || w.Selector.Zone != "" {
		v.sent = map[health.ID]bool{}
	}
	return v
}

// restart forgets what was sent: a snapshot says it all anew.
func (v *view) restart() {
	v.resumed = false
	clear(v.sent)
}

// everything reports whether nothing is filtered out.
func (v *view) everything() bool {
	return len(v.ids) == 0 && v.selector.Services == nil && v.sent == nil && !v.selector.AggregatesOnly
}

func (v *view) sees(e *feed.Entry) bool {
	if len(v.ids) > 0 {
		return slices.Contains(v.ids, e.ID)
	}
	return v.selector.Matches(&e.State)
}

// fragment returns e as it is to be sent, nil if it is not.
func (v *view) fragment(e *feed.Entry, key feed.Key) []byte {
	if v.sees(e) {
		v.remember(e)
		return encoded(e, key)
	}
	if v.sent == nil || e.ID.Aggregate() || !(v.resumed || v.sent[e.ID]) {
		return nil
	}
	delete(v.sent, e.ID)
	return encode(&pb.Health{Service: e.ID.Service, Instance: e.ID.Instance, Revision: e.Revision, Removed: true})
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

// unknown returns an entry for each name asked for that a snapshot lacks.
func (v *view) unknown(step *feed.Step) []byte {
	var all []byte
	for _, id := range v.ids {
		known := slices.ContainsFunc(step.Entries, func(e *feed.Entry) bool { return e.ID == id })
		if !known {
			all = append(all, encode(&pb.Health{Service: id.Service, Instance: id.Instance, Status: pb.Status_STATUS_SERVICE_UNKNOWN})...)
		}
	}
	return all
}

// encoded returns e as a field of a WatchResponse, made once per audience.
func encoded(e *feed.Entry, key feed.Key) []byte {
	return e.Encoded(key, func(e *feed.Entry) []byte {
		h := wire.Health(&e.State, e.At, key == feed.Full)
		if e.Removed {
			h.Status = pb.Status_STATUS_SERVICE_UNKNOWN
		}
		return encode(h)
	})
}

func encode(h *pb.Health) []byte {
	b := protowire.AppendTag(nil, entriesField, protowire.BytesType)
	body, err := proto.Marshal(h)
	if err != nil {
		// Only text that is not UTF-8 could do this, and all text was cleaned.
		return nil
	}
	return protowire.AppendBytes(b, body)
}
