package grpchealth

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// figuresField is the number of the field figures of a WatchResponse.
const figuresField = 9

// figures has the figures that all Watch streams share. They are collected when a stream needs
// them, and at most once for each beat of the feed. Without a stream that asked for figures, nothing
// is collected.
type figures struct {
	mu   sync.Mutex
	last collection
}

// collection is the figures of all entries at one beat. It is immutable.
type collection struct {
	number uint64 // number of this collection, from 1 on
	beat   uint64 // beat at which it was made
	// all is ordered by the number of the collection in which a figure has changed, the highest
	// first, and then by name.
	all  []*figure
	byID map[health.ID]*figure
}

// figure is the metrics of one entry.
type figure struct {
	id      health.ID
	metrics *health.Metrics
	changed uint64 // number of the collection that first had these metrics
	// message is what streams in the format JSON send.
	message *pb.Figures
	// encoded is the field figures of a WatchResponse. Metrics are the same for all audiences, so
	// that all other streams share these bytes.
	encoded []byte
}

// showsFigures reports whether the Watch sends the figures of an entry.
func (v *view) showsFigures(cut feed.Cut, id health.ID) bool {
	if len(v.ids) > 0 && !slices.Contains(v.ids, id) {
		return false
	}
	e, ok := cut.Get(id)
	return ok && v.selects(e) && v.caller.May(access.Read, access.Of(id))
}

// collectFigures returns the figures of the entries in cut. All calls within one beat of the feed
// return the same collection.
func (h *Handlers) collectFigures(cut feed.Cut) *collection {
	beat := h.cfg.Feed.Beats()
	h.figures.mu.Lock()
	defer h.figures.mu.Unlock()
	if before := h.figures.last; before.number == 0 || before.beat != beat {
		h.figures.last = h.newCollection(cut, &before, beat)
	}
	last := h.figures.last
	return &last
}

// newCollection returns the next collection. It encodes only figures that have changed.
func (h *Handlers) newCollection(cut feed.Cut, before *collection, beat uint64) collection {
	next := collection{number: before.number + 1, beat: beat, byID: map[health.ID]*figure{}}
	for e := range cut.Of() {
		m := h.metricsOf(e)
		if m == nil || h.cfg.Self != (health.ID{}) && e.ID == (health.ID{}) {
			continue
		}
		f := before.byID[e.ID]
		if f == nil || !sameMetrics(f.metrics, m) {
			message := &pb.Figures{Service: e.ID.Service, Instance: e.ID.Instance, Metrics: wire.Metrics(m)}
			f = &figure{id: e.ID, metrics: m, changed: next.number, message: message, encoded: encodeFigures(message)}
		}
		next.byID[e.ID] = f
		next.all = append(next.all, f)
	}
	slices.SortStableFunc(next.all, func(a, b *figure) int { return cmp.Compare(b.changed, a.changed) })
	return next
}

// metricsOf returns the newest metrics of an entry, or nil if it has none.
func (h *Handlers) metricsOf(e *feed.Entry) *health.Metrics {
	var m *health.Metrics
	switch {
	case h.cfg.Metrics != nil:
		_, m = h.cfg.Metrics(e.ID)
	case h.cfg.Figures != nil:
		m = h.cfg.Figures(e.ID)
	}
	if m == nil {
		m = e.Metrics
	}
	return m
}

func sameMetrics(a, b *health.Metrics) bool {
	return a == b || a.Runs == b.Runs && a.Failures == b.Failures &&
		a.ResponseTimeP50 == b.ResponseTimeP50 && a.ResponseTimeP99 == b.ResponseTimeP99 && maps.Equal(a.Gauges, b.Gauges)
}

// encodeFigures returns a message encoded as the field figures of a WatchResponse.
func encodeFigures(m *pb.Figures) []byte {
	content, err := proto.Marshal(m)
	if err != nil {
		// Marshal fails only for text that is not UTF-8, and all text was cleaned before.
		return nil
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, figuresField, protowire.BytesType), content)
}
