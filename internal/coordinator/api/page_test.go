package api

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// flips sets and clears an override of pay/1 several times. It returns the expected journal,
// newest first: each action and its transition.
func flips(w *world, n int) (want []string) {
	w.t.Helper()
	last := "STARTING"
	for i := range n {
		time.Sleep(time.Second)
		status := []pb.Status{pb.Status_STATUS_MAINTENANCE, pb.Status_STATUS_NOT_SERVING}[i%2]
		if err := w.send(forAnHour("pay/1", status)); err != nil {
			w.t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("pay/1 ACTION_OVERRIDE_SET to %s by %s after %d s", short(status), somebody, i+1))
		want = append(want, fmt.Sprintf("pay/1 %s to %s after %d s", last, short(status), i+1))
		last = short(status)
	}
	synctest.Wait() // the store writer writes the history after the answer
	slices.Reverse(want)
	return want
}

// history reads all pages.
func history(w *world, name string, size int32, began time.Time) (all []string, pages int) {
	w.t.Helper()
	for token := ""; pages == 0 || token != ""; pages++ {
		resp, err := w.admin.ListTransitions(w.t.Context(), &pb.ListTransitionsRequest{Name: name, PageSize: size, PageToken: token})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, tr := range resp.GetTransitions() {
			id := health.ID{Service: tr.GetService(), Instance: tr.GetInstance()}
			from, to := short(tr.GetFrom()), short(tr.GetTo())
			if tr.GetAction() != 0 {
				from, to = tr.GetAction().String(), to+" by "+tr.GetBy()
			}
			all = append(all, fmt.Sprintf("%s %s to %s after %.0f s", id, from, to, tr.GetAt().AsTime().Sub(began).Seconds()))
		}
		token = resp.GetNextPageToken()
	}
	return all, pages
}

func TestHistoryPages(t *testing.T) {
	for _, c := range []struct {
		size  int32
		pages int
	}{{0, 1}, {1000, 1}, {1, 50}, {7, 8}, {50, 1}, {49, 2}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			began := time.Now()
			w.registered(fixture("pay/1"))
			want := flips(w, 25)
			got, pages := history(w, "pay/1", c.size, began)
			if !slices.Equal(got, want) || pages != c.pages {
				t.Errorf("pages of %d: %d pages, want %d: %q", c.size, pages, c.pages, got)
			}
		})
	}
}

// Changes between the reads of two pages neither omit nor repeat a record.
func TestHistoryPagesStandStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.registered(fixture("pay/1"))
		flips(w, 10)
		var at []time.Time
		token := ""
		for page := 0; page == 0 || token != ""; page++ {
			resp, err := w.admin.ListTransitions(t.Context(), &pb.ListTransitionsRequest{Name: "pay/1", PageSize: 3, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, tr := range resp.GetTransitions() {
				at = append(at, tr.GetAt().AsTime())
			}
			token = resp.GetNextPageToken()
			flips(w, 2)
		}
		if len(at) != 20 || !slices.IsSortedFunc(at, func(a, b time.Time) int { return b.Compare(a) }) {
			t.Errorf("%d transitions: %v", len(at), at)
		}
	})
}

func TestHistoryByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.registered(fixture("pay/1"), fixture("pay/2"), fixture("shop/1"))
		time.Sleep(2 * health.DefaultStartupGrace)
		for _, name := range []string{"pay/1", "pay/2", "shop/1"} {
			if err := w.send(forAnHour(name, pb.Status_STATUS_NOT_SERVING)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for name, want := range map[string][]string{
			"pay/1":  {"pay/1"},
			"pay":    {"pay", "pay/1", "pay/2"},
			"*":      {"*"},
			"":       {"*", "pay", "pay/1", "pay/2", "shop", "shop/1"},
			"nobody": nil,
		} {
			var got []string
			all, _ := history(w, name, 0, time.Now())
			for _, l := range all {
				about, _, _ := strings.Cut(l, " ")
				got = append(got, about)
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, want) {
				t.Errorf("%q: %q, want %q", name, got, want)
			}
		}
	})
}

func TestTransitionSaysEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.registered(fixture("pay/1"))
		if err := w.send(forAnHour("pay/1", pb.Status_STATUS_NOT_SERVING)); err != nil {
			t.Fatal(err)
		}
		if err := w.send(&pb.DeregisterRequest{Service: "pay", Instance: "1"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		resp, err := w.admin.ListTransitions(t.Context(), &pb.ListTransitionsRequest{Name: "pay/1"})
		if err != nil || len(resp.GetTransitions()) != 3 {
			t.Fatalf("%v, %v", resp, err)
		}
		gone, forced := resp.GetTransitions()[0], resp.GetTransitions()[1]
		if !gone.GetRemoved() || gone.GetLost() != 0 {
			t.Errorf("the end: %v", gone)
		}
		if forced.GetCause() != pb.Cause_CAUSE_FORCED || forced.GetReason() != "new disks" || forced.GetRemoved() ||
			forced.GetFirstFailure() == nil || forced.GetAction() != 0 || forced.GetBy() != somebody {
			t.Errorf("what came of the override: %v", forced)
		}
		set := resp.GetTransitions()[2]
		if set.GetAction() != pb.Action_ACTION_OVERRIDE_SET || set.GetBy() != somebody || set.GetScope() != "pay/1" ||
			set.GetTo() != pb.Status_STATUS_NOT_SERVING || set.GetReason() != "new disks" || set.GetRemoved() {
			t.Errorf("the override: %v", set)
		}
	})
}

func TestListPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		want := []string{"", "*", "pay"} // the coordinator, the mesh, the service
		var list []*pb.Registration
		for i := range 23 {
			list = append(list, fixture(fmt.Sprintf("pay/%02d", i)))
			want = append(want, fmt.Sprintf("pay/%02d", i))
		}
		w.registered(list...)
		var got []string
		token, pages := "", 0
		for ; pages == 0 || token != ""; pages++ {
			resp, err := w.mesh.List(t.Context(), &pb.ListRequest{PageSize: 10, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range resp.GetEntries() {
				got = append(got, health.ID{Service: e.GetService(), Instance: e.GetInstance()}.String())
			}
			token = resp.GetNextPageToken()
		}
		if !slices.Equal(got, want) || pages != 3 {
			t.Errorf("%d pages: %q, want %q", pages, got, want)
		}
	})
}

// A token is valid only for the method that returned it, and contains no plain text.
func TestForeignTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.registered(fixture("pay/1"), fixture("pay/2"))
		flips(w, 100)
		list, err := w.mesh.List(t.Context(), &pb.ListRequest{PageSize: 4})
		if err != nil {
			t.Fatal(err)
		}
		past, err := w.admin.ListTransitions(t.Context(), &pb.ListTransitionsRequest{PageSize: 1})
		if err != nil {
			t.Fatal(err)
		}
		came, _ := w.watch(&pb.WatchRequest{}).received()
		entries, journal, resume := list.GetNextPageToken(), past.GetNextPageToken(), came[0].GetResumeToken()
		if entries == "" || journal == "" || resume == "" || strings.Contains(entries, "pay") {
			t.Fatalf("tokens %q, %q, %q", entries, journal, resume)
		}
		for _, bad := range []string{journal, resume, "pay/1", "*", entries + "!", base64.StdEncoding.EncodeToString([]byte("p2:pay"))} {
			wantToken(t, w.send(&pb.ListRequest{PageToken: bad}))
		}
		token := func(text string) string { return wire.TextToken(text, historyScope(&pb.ListTransitionsRequest{})) }
		raw := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
		for _, bad := range []string{
			entries, resume, "17", journal + "!", journal[:len(journal)-1] + "!", "!" + journal,
			raw("t1:"), raw("t1:7"), token("-1"), token("x"), token("0"), token("18446744073709551616"),
		} {
			wantToken(t, w.send(&pb.ListTransitionsRequest{PageToken: bad}))
		}
		// A token after the last page is no error, and its page is empty.
		resp, err := w.admin.ListTransitions(t.Context(), &pb.ListTransitionsRequest{PageToken: token("1")})
		if err != nil || len(resp.GetTransitions()) != 0 || resp.GetNextPageToken() != "" {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

func wantToken(t *testing.T, err error) {
	t.Helper()
	wantCode(t, err, codes.InvalidArgument, "")
	if says, all := violation(err, "page_token"); !strings.HasPrefix(says, "is not one that was handed out") {
		t.Errorf("%v: %s", err, all)
	}
}

// The longest token is accepted.
func TestLongestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		name := long(255) + "/" + long(254)
		w.registered(fixture(name+"1"), fixture(name+"2"))
		selector := &pb.Selector{Services: []string{long(255)}}
		resp, err := w.mesh.List(t.Context(), &pb.ListRequest{Selector: selector, PageSize: 2})
		if err != nil || len(resp.GetNextPageToken()) <= wire.MaxToken {
			t.Fatalf("%v, %v", resp, err)
		}
		if err := w.send(&pb.ListRequest{Selector: selector, PageToken: resp.GetNextPageToken()}); err != nil {
			t.Error(err)
		}
		err = w.send(&pb.ListRequest{PageToken: resp.GetNextPageToken()})
		if says, all := violation(err, "page_token"); !strings.HasPrefix(says, "is that of another selector") {
			t.Errorf("%v: %s", err, all)
		}
	})
}
