package grpchealth

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
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
		w := newWorld(t, Config{Rights: showReasons(func(context.Context) bool { return true })})
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
