//go:build !race

package grpchealth

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
)

// These tests measure memory. The race detector has memory of its own for each allocation.

// brief is the server side of a stream whose client leaves after one message.
type brief[M any] struct {
	grpc.ServerStream
	ctx    context.Context
	cancel context.CancelFunc
}

func newBrief[M any](parent context.Context) *brief[M] {
	ctx, cancel := context.WithCancel(parent)
	return &brief[M]{ctx: ctx, cancel: cancel}
}

func (b *brief[M]) Context() context.Context { return b.ctx }
func (b *brief[M]) Send(*M) error            { b.cancel(); return nil }

func TestInventedNamesLeaveNothing(t *testing.T) {
	h := New(Config{Feed: feed.New(1, 0), Self: self})
	stock, mesh := standard{h: h}, extended{h: h}
	const rounds, perRound = 10, 10_000
	var used [rounds]int
	for round := range rounds {
		for i := range perRound {
			name := fmt.Sprintf("invented-%d-%d", round, i)
			if _, err := stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name}); err == nil {
				t.Fatal("it is known")
			}
			if _, err := mesh.Check(t.Context(), &pb.CheckRequest{Service: name}); err == nil {
				t.Fatal("it is known")
			}
			_ = stock.Watch(&healthpb.HealthCheckRequest{Service: name}, newBrief[healthpb.HealthCheckResponse](t.Context()))
			_ = mesh.Watch(&pb.WatchRequest{Names: []string{name}}, newBrief[pb.WatchResponse](t.Context()))
		}
		used[round] = heap()
	}
	if first, last := used[1], used[rounds-1]; last > first+1<<20 {
		t.Errorf("%d KiB in use after round 2, %d after round %d", first>>10, last>>10, rounds)
	}
	if h.Watchers() != 0 {
		t.Errorf("%d watchers", h.Watchers())
	}
}

// The log of a feed stays within its bound for all kinds of entries and all encodings. The bound does not
// include the current entry and the bytes of the newest batches.
func TestLogBytes(t *testing.T) {
	const bound, beside = 4 << 20, 1 << 20
	for what, fat := range map[string]func(*health.State, int){
		"labels": func(s *health.State, i int) {
			s.Spec = &health.Spec{Labels: map[string]string{}}
			for l := range 64 {
				s.Spec.Labels[fmt.Sprintf("%060d", l)] = fmt.Sprintf("%0255d", i)
			}
		},
		"gauges": func(s *health.State, _ int) {
			s.Metrics = &health.Metrics{Gauges: map[string]float64{}}
			for g := range 32 {
				s.Metrics.Gauges[fmt.Sprintf("%060d", g)] = 1
			}
		},
		"checks": func(s *health.State, i int) {
			for c := range 128 {
				s.Checks = append(s.Checks, health.CheckState{Name: fmt.Sprintf("%0200d", c), Reason: fmt.Sprintf("%0500d", i)})
			}
		},
		"reasons": func(s *health.State, i int) {
			s.Reason, s.Via, s.Root = fmt.Sprintf("%01000d", i), fmt.Sprintf("%0200d", i), fmt.Sprintf("%0200d", i)
		},
		"nothing": func(*health.State, int) {},
	} {
		for _, removed := range []bool{false, true} {
			f := feed.New(7, bound)
			before := heap()
			for i := range 4000 {
				s := is("pay/a", health.Serving)
				if removed {
					s = is(fmt.Sprintf("pay/%d", i), health.Serving)
				}
				if fat(&s, i); what == "checks" && i > 500 {
					break
				}
				s.Revision, s.Removed = uint64(i+1), removed
				encodeAll(f.Publish([]health.Change{{State: s, At: time.Now()}}))
			}
			if kept := heap() - before; kept > bound+beside {
				t.Errorf("%s, removed %v: a log of %d MiB keeps %d MiB", what, removed, bound>>20, kept>>20)
			}
			runtime.KeepAlive(f)
		}
	}
}

// encodeAll encodes a batch of one entry in every encoding.
func encodeAll(b *feed.Batch) {
	for _, format := range []feed.Format{feed.Protobuf, feed.JSON} {
		for _, shown := range []access.Shown{access.StatusShown, access.EvidenceShown} {
			for _, fewer := range []bool{false, true} {
				encoding := encodingOf(format, shown)
				encoding.NoServiceZones = fewer
				b.Encoded(encoding, func(b *feed.Batch) []byte {
					return bytes.Clone(encodedEntry(b.Entries[0], format, shown))
				})
			}
		}
	}
}

// heap returns the bytes of the heap in use.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
