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
	mu   sync.Mutex // not held while figures are collected, because that calls functions of the owner
	last *collection
	// collecting is closed when the collection that a stream makes now is in last; nil if none does.
	collecting chan struct{}
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
	// encoded has the field figures of a WatchResponse in each format. Metrics are the same for all
	// audiences, so that all streams share these bytes. In JSON a comma comes before the element.
	encoded [feed.JSON + 1]func() []byte
}

// collect returns the figures of the entries in cut. All calls within one beat of the feed return the
// same collection. metricsOf returns the metrics of an entry, or nil if it has no figures.
func (f *figures) collect(cut feed.Cut, beat uint64, metricsOf func(*feed.Entry) *health.Metrics) *collection {
	for {
		last, collecting, mine := f.begin(beat)
		switch {
		case last != nil:
			return last
		case mine:
			return f.end(collecting, func(before *collection) *collection { return before.next(cut, beat, metricsOf) })
		}
		<-collecting
	}
}

// begin returns the collection of a beat, or of a later one, if there is one. Otherwise mine says whether
// the caller must call end. If not, another caller closes collecting.
func (f *figures) begin(beat uint64) (last *collection, collecting chan struct{}, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != nil && f.last.beat >= beat {
		return f.last, nil, false
	}
	if mine = f.collecting == nil; mine {
		f.collecting = make(chan struct{})
	}
	return nil, f.collecting, mine
}

// end makes the next collection from the one before.
func (f *figures) end(collecting chan struct{}, next func(before *collection) *collection) *collection {
	// If next panics, the stream of the caller ends, and another one collects.
	defer close(collecting)
	before := f.last // no other caller changes it now
	if before == nil {
		before = &collection{}
	}
	made := (*collection)(nil)
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.collecting = nil
		if made != nil {
			f.last = made
		}
	}()
	made = next(before)
	return made
}

// next returns the next collection. It encodes only figures that have changed.
func (before *collection) next(cut feed.Cut, beat uint64, metricsOf func(*feed.Entry) *health.Metrics) *collection {
	next := &collection{number: before.number + 1, beat: beat, byID: map[health.ID]*figure{}}
	for e := range cut.Of() {
		m := metricsOf(e)
		if m == nil {
			continue
		}
		f := before.byID[e.ID]
		if f == nil || !sameMetrics(f.metrics, m) {
			message := &pb.Figures{Service: e.ID.Service, Instance: e.ID.Instance, Metrics: wire.Metrics(m)}
			f = &figure{id: e.ID, metrics: m, changed: next.number}
			f.encoded[feed.Protobuf] = sync.OnceValue(func() []byte { return encodeFigures(message) })
			f.encoded[feed.JSON] = sync.OnceValue(func() []byte { return encodeJSON(message) })
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
