package api

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// in returns a registration of an instance in a zone.
func in(name, zone, team string) *pb.Registration {
	r := fixture(name)
	r.Zone, r.Labels = zone, map[string]string{"team": team}
	return r
}

// listed returns all overrides.
func (w *world) listed() string {
	w.t.Helper()
	resp, err := w.admin.ListOverrides(w.t.Context(), &pb.ListOverridesRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	var lines []string
	for _, o := range resp.GetOverrides() {
		lines = append(lines, fmt.Sprintf("%s %s of %d by %s", o.GetOverride().GetScope(), short(o.GetOverride().GetStatus()), o.GetInstances(), o.GetOverride().GetAuthor()))
	}
	return strings.Join(lines, "; ")
}

// An override of a zone holds for its instances, also for those that register later and
// after a restart, and for no others.
func TestOverrideOfAZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := store.NewMemory(0)
		w := newWorld(t, func(s *setup) { s.store = kept })
		w.registered(in("pay/1", "eu-1", "core"), in("pay/2", "eu-2", "core"), in("shop/1", "eu-1", "web"))
		if err := w.send(forAnHour("zone=eu-1", pb.Status_STATUS_MAINTENANCE)); err != nil {
			t.Fatal(err)
		}
		w.registered(in("shop/2", "eu-1", "web"))
		want := func(doubt string) {
			t.Helper()
			for name, status := range map[string]string{"pay/1": "MAINTENANCE", "pay/2": "STARTING", "shop/1": "MAINTENANCE", "shop/2": "MAINTENANCE", "shop": "MAINTENANCE"} {
				w.is(name + " " + status + doubt)
			}
			if scope := w.check("pay/1").GetOverride().GetScope(); scope != "zone=eu-1" {
				t.Errorf("its scope is %q", scope)
			}
			if got := w.listed(); got != "zone=eu-1 MAINTENANCE of 3 by "+somebody {
				t.Errorf("listed: %s", got)
			}
		}
		want("")
		w.end()
		w = newWorld(t, func(s *setup) { s.store, s.epoch = kept, 78 })
		want(" unconfirmed")
		if err := w.send(&pb.ClearOverrideRequest{Name: "zone=eu-1", Reason: "done"}); err != nil {
			t.Fatal(err)
		}
		if h := w.check("pay/1"); h.GetOverride() != nil || w.listed() != "" {
			t.Errorf("%v, listed: %s", h, w.listed())
		}
	})
}

// The narrowest scope holds, whichever was set first.
func TestOverridesOfSeveralScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.registered(in("pay/1", "eu-1", "core"), in("pay/2", "eu-1", "core"))
		for _, step := range []struct {
			req  any
			want string
		}{
			{forAnHour("pay/1", pb.Status_STATUS_SERVING), "pay/1 SERVING"},
			{forAnHour("pay", pb.Status_STATUS_DEGRADED), "pay/1 SERVING"},
			{forAnHour("label.team=core", pb.Status_STATUS_NOT_SERVING), "pay/2 DEGRADED"},
			{&pb.ClearOverrideRequest{Name: "pay"}, "pay/2 NOT_SERVING"},
			{forAnHour("zone=eu-1", pb.Status_STATUS_MAINTENANCE), "pay/2 NOT_SERVING"},
			{&pb.ClearOverrideRequest{Name: "label.team=core"}, "pay/2 MAINTENANCE"},
			{&pb.ClearOverrideRequest{Name: "pay/1"}, "pay/1 MAINTENANCE"},
		} {
			if err := w.send(step.req); err != nil {
				t.Fatal(err)
			}
			w.is(step.want)
		}
	})
}

// The history holds who set and who cleared an override, and its expiry.
func TestOverridesAreAudited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := store.NewMemory(0)
		w := newWorld(t, func(s *setup) { s.store = kept })
		w.registered(in("pay/1", "eu-1", "core"))
		brief := forAnHour("zone=eu-1", pb.Status_STATUS_MAINTENANCE)
		brief.Ttl = durationpb.New(time.Minute)
		for _, req := range []any{
			forAnHour("pay", pb.Status_STATUS_DEGRADED),
			&pb.ClearOverrideRequest{Name: "pay", Reason: "all is well"},
			&pb.ClearOverrideRequest{Name: "pay"}, // there was no override
			brief,
		} {
			if err := w.send(req); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		acts(t, w, "pay ACTION_OVERRIDE_SET DEGRADED "+somebody+" new disks; pay ACTION_OVERRIDE_CLEARED DEGRADED "+somebody+" all is well; "+
			"zone=eu-1 ACTION_OVERRIDE_SET MAINTENANCE "+somebody+" new disks; zone=eu-1 ACTION_OVERRIDE_ENDED MAINTENANCE  ")
		if s, err := kept.Load(t.Context()); err != nil || len(s.Overrides) != 0 {
			t.Errorf("the store holds %v, %v", s.Overrides, err)
		}
	})
}

// acts compares the actions in the history, oldest first.
func acts(t *testing.T, w *world, want string) {
	t.Helper()
	resp, err := w.admin.ListTransitions(t.Context(), &pb.ListTransitionsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := len(resp.GetTransitions()) - 1; i >= 0; i-- {
		if a := resp.GetTransitions()[i]; a.GetAction() != 0 {
			got = append(got, fmt.Sprintf("%s %s %s %s %s", a.GetScope(), a.GetAction(), short(a.GetTo()), a.GetBy(), a.GetReason()))
		}
	}
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("the history says\n%s\nwant\n%s", text, want)
	}
}

// An override that expired while the coordinator was down ends at the start.
func TestOverrideEndsWhileWeAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := store.NewMemory(0)
		w := newWorld(t, func(s *setup) { s.store = kept })
		w.registered(in("pay/1", "eu-1", "core"))
		brief := forAnHour("zone=eu-1", pb.Status_STATUS_MAINTENANCE)
		brief.Ttl = durationpb.New(time.Minute)
		if err := w.send(brief); err != nil {
			t.Fatal(err)
		}
		w.end()
		time.Sleep(2 * time.Minute)
		w = newWorld(t, func(s *setup) { s.store, s.epoch = kept, 78 })
		synctest.Wait()
		if h := w.check("pay/1"); h.GetOverride() != nil || w.listed() != "" {
			t.Errorf("%v, listed: %s", h, w.listed())
		}
		acts(t, w, "zone=eu-1 ACTION_OVERRIDE_SET MAINTENANCE "+somebody+" new disks; zone=eu-1 ACTION_OVERRIDE_ENDED MAINTENANCE  ")
	})
}

func TestOverrideOfUnknownScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.registered(in("pay/1", "eu-1", "core"))
		for _, name := range []string{"shop", "zone=eu-2", "service=shop,zone=eu-1", "label.team=none"} {
			for _, req := range []any{forAnHour(name, pb.Status_STATUS_SERVING), &pb.ClearOverrideRequest{Name: name}} {
				err := w.send(req)
				wantCode(t, err, codes.NotFound, wire.ReasonNotFound)
				wantText(t, err, name, "no registered instance matches")
			}
		}
		if got := w.listed(); got != "" {
			t.Errorf("listed: %s", got)
		}
	})
}

// The number of overrides is limited.
func TestOverridesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for i := range wire.MaxOverrides {
			team := fmt.Sprint("t", i)
			w.registered(in("pay/1", "eu-1", team))
			if err := w.send(forAnHour("label.team="+team, pb.Status_STATUS_MAINTENANCE)); err != nil {
				t.Fatal(err)
			}
		}
		err := w.send(forAnHour("pay", pb.Status_STATUS_MAINTENANCE))
		wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
		wantText(t, err, "1000 overrides are set")
		if err := w.send(forAnHour("label.team=t7", pb.Status_STATUS_SERVING)); err != nil {
			t.Errorf("one that was set cannot be replaced: %v", err)
		}
	})
}
