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

// collect returns the figures of the entries in cut. All calls within one beat of the feed return the
// same collection. metricsOf returns the metrics of an entry, or nil if it has no figures.
func (f *figures) collect(cut feed.Cut, beat uint64, metricsOf func(*feed.Entry) *health.Metrics) *collection {
	f.mu.Lock()
	defer f.mu.Unlock()
	if before := f.last; before.number == 0 || before.beat != beat {
		f.last = before.next(cut, beat, metricsOf)
	}
	last := f.last
	return &last
}

// next returns the next collection. It encodes only figures that have changed.
func (before *collection) next(cut feed.Cut, beat uint64, metricsOf func(*feed.Entry) *health.Metrics) collection {
	next := collection{number: before.number + 1, beat: beat, byID: map[health.ID]*figure{}}
	for e := range cut.Of() {
		m := metricsOf(e)
		if m == nil {
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
