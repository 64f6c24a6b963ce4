package grpchealth

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// A Watch of names of one service sends each name once, and no other name.
func TestWatchNamesOfOneService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("pay", health.Serving), is("pay/a", health.Serving), is("pay/b", health.Serving), is("pay/c", health.Serving), is("pay/d", health.Serving))
		in := w.watch(t, &pb.WatchRequest{Names: []string{"pay/c", "pay/a", "pay/b", "pay/x"}})
		if got := namesIn(in.one()); got != "pay/a pay/b pay/c pay/x" {
			t.Errorf("told %s", got)
		}
		w.publish(is("pay/d", health.NotServing), is("pay", health.Degraded))
		in.none()
		w.publish(is("pay/b", health.NotServing), is("pay/x", health.Serving))
		if got := namesIn(in.one()); got != "pay/b pay/x" {
			t.Errorf("then told %s", got)
		}
	})
}

func namesIn(m *pb.WatchResponse) string {
	var names []string
	for _, e := range m.GetEntries() {
		names = append(names, e.GetService()+"/"+e.GetInstance())
	}
	return strings.Join(names, " ")
}

// Unknown names are sent in messages of the same size limit as known names.
func TestWatchUnknownNamesInChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("pay", health.Serving))
		var names []string
		for i := range 128 {
			names = append(names, fmt.Sprintf("%0200d/%0200d", i, i))
		}
		if got := countChunks(t, w.watch(t, &pb.WatchRequest{Names: names}).received(), true); got != len(names) {
			t.Errorf("%d entries, want %d", got, len(names))
		}
	})
}

// A page stays within its limit of bytes, and all entries are on some page.
func TestPagesAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{ShowReasons: func(context.Context) bool { return true }})
		const n = 1000
		for i := range n {
			s := is(fmt.Sprintf("pay/%d", i), health.NotServing)
			s.Reason = strings.Repeat("x", 1000)
			w.publish(s)
		}
		seen := map[string]bool{}
		for req := (&pb.ListRequest{PageSize: n}); ; {
			resp, err := w.mesh.List(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if size := proto.Size(resp); size > wire.MaxPageBytes+4096 || len(resp.GetEntries()) == 0 {
				t.Fatalf("a page of %d bytes with %d entries", size, len(resp.GetEntries()))
			}
			for _, e := range resp.GetEntries() {
				seen[e.GetInstance()] = true
			}
			if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		if len(seen) != n {
			t.Errorf("%d instances on all pages, want %d", len(seen), n)
		}
	})
}

// The log of a feed stays within its bound for all kinds of entries and all encodings.
func TestLogBytes(t *testing.T) {
	const bound = 4 << 20
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
		f := feed.New(7, bound)
		before := heap()
		for i := range 4000 {
			s := is("pay/a", health.Serving)
			if fat(&s, i); what == "checks" && i > 500 {
				break
			}
			s.Revision = uint64(i + 1)
			b := f.Publish([]health.Change{{State: s, At: time.Now()}})
			for _, detail := range []access.Detail{access.Public, access.Full} {
				b.Encoded(encodingOf(detail), func(b *feed.Batch) []byte { return append([]byte(nil), encodedEntry(b.Entries[0], detail)...) })
			}
		}
		if kept := heap() - before; kept > bound {
			t.Errorf("%s: a log of %d MiB keeps %d MiB", what, bound>>20, kept>>20)
		}
		runtime.KeepAlive(f)
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
