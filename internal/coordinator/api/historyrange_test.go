package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
)

// day is the time of the first record of storedHistory.
var day = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// storedHistory returns a store with a record each second, except for one gap. Every third record is
// of the service hidden.
func storedHistory(t *testing.T, n int) store.Store {
	t.Helper()
	s := store.NewMemory(0)
	b := &store.Batch{}
	for i := range n {
		x := store.Transition{ID: health.ID{Service: "pay", Instance: fmt.Sprint(i % 2)}, To: health.Degraded, At: day.Add(time.Duration(i) * time.Second)}
		switch {
		case i == n/2:
			x = store.Transition{Lost: 7, At: x.At}
		case i%3 == 0:
			x.ID.Service = "hidden"
		}
		b.Transitions = append(b.Transitions, x)
	}
	if err := s.Commit(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	return s
}

// seconds reads all pages of a request, and returns the seconds of the records.
func seconds(w *world, req *pb.ListTransitionsRequest) (all []int, empty int) {
	w.t.Helper()
	req = proto.CloneOf(req)
	for {
		resp, err := w.admin.ListTransitions(w.t.Context(), req)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, tr := range resp.GetTransitions() {
			if tr.GetService() == "hidden" {
				w.t.Fatalf("%v shows %v", req, tr)
			}
			all = append(all, int(tr.GetAt().AsTime().Sub(day)/time.Second))
		}
		if len(resp.GetTransitions()) == 0 {
			empty++
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return all, empty
		}
	}
}

// TestHistoryRanges reads parts of the history in both directions, with pages of several sizes. The
// policy hides a third of the records, and gaps.
func TestHistoryRanges(t *testing.T) {
	const n = 60
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) {
			s.store, s.access = storedHistory(t, n), granting([]access.Verb{access.VerbRead}, "pay")
		})
		for _, r := range []struct{ from, to int }{{-5, n + 5}, {0, 1}, {10, 20}, {n / 2, n/2 + 1}, {n - 1, n}, {n, n + 1}, {-5, 0}} {
			var want []int
			for i := max(0, r.from); i < min(r.to, n); i++ {
				if i != n/2 && i%3 != 0 {
					want = append(want, i)
				}
			}
			req := &pb.ListTransitionsRequest{
				From: timestamppb.New(day.Add(time.Duration(r.from) * time.Second)), To: timestamppb.New(day.Add(time.Duration(r.to) * time.Second)),
			}
			for _, size := range []int32{1, 2, 7, 1000} {
				req.PageSize, req.OldestFirst = size, true
				if got, _ := seconds(w, req); !slices.Equal(got, want) {
					t.Errorf("%v: %v, want %v", r, got, want)
				}
				req.OldestFirst = false
				got, _ := seconds(w, req)
				slices.Reverse(got)
				if !slices.Equal(got, want) {
					t.Errorf("%v, newest first: %v, want %v", r, got, want)
				}
			}
		}
		if _, empty := seconds(w, &pb.ListTransitionsRequest{PageSize: 1}); empty > 1 {
			t.Errorf("%d pages are empty, want at most the last", empty)
		}
	})
}

// TestHistoryTokenIsBound: a token with another name, range or direction is refused.
func TestHistoryTokenIsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.store = storedHistory(t, 20) })
		at := func(s int) *timestamppb.Timestamp { return timestamppb.New(day.Add(time.Duration(s) * time.Second)) }
		first := &pb.ListTransitionsRequest{Name: "pay", From: at(1), To: at(15), PageSize: 2}
		resp, err := w.admin.ListTransitions(t.Context(), first)
		if err != nil || resp.GetNextPageToken() == "" {
			t.Fatal(resp, err)
		}
		for what, edit := range map[string]func(*pb.ListTransitionsRequest){
			"name": func(r *pb.ListTransitionsRequest) { r.Name = "pay/1" }, "from": func(r *pb.ListTransitionsRequest) { r.From = nil },
			"to": func(r *pb.ListTransitionsRequest) { r.To = at(16) }, "direction": func(r *pb.ListTransitionsRequest) { r.OldestFirst = true },
		} {
			req := proto.CloneOf(first)
			req.PageToken = resp.GetNextPageToken()
			edit(req)
			err := w.send(req)
			wantCode(t, err, codes.InvalidArgument, "")
			if says, all := violation(err, "page_token"); !strings.HasPrefix(says, "is that of another request; allowed") {
				t.Errorf("%s: %s", what, all)
			}
		}
	})
}
