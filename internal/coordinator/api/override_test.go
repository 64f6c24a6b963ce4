package api

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// forAnHour returns an override that ends after an hour.
func forAnHour(name string, s pb.Status) *pb.SetOverrideRequest {
	return &pb.SetOverrideRequest{Name: name, Status: s, Reason: "new disks", Ttl: durationpb.New(time.Hour)}
}

func TestSetOverrideIsSeen(t *testing.T) {
	for status, cause := range map[pb.Status]pb.Cause{
		pb.Status_STATUS_SERVING:     pb.Cause_CAUSE_FORCED,
		pb.Status_STATUS_DEGRADED:    pb.Cause_CAUSE_FORCED,
		pb.Status_STATUS_NOT_SERVING: pb.Cause_CAUSE_FORCED,
		pb.Status_STATUS_MAINTENANCE: pb.Cause_CAUSE_MAINTENANCE,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.lease("pay/1")
			in := w.watch(&pb.WatchRequest{Names: []string{"pay/1"}})
			in.wants("pay/1 STARTING")
			if err := w.send(forAnHour("pay/1", status)); err != nil {
				t.Fatal(err)
			}
			news := in.entries()
			if len(news) != 1 || news[0].GetStatus() != status || news[0].GetCause() != cause || news[0].GetReason() != "new disks" {
				t.Fatalf("the Watch got %v", news)
			}
			o := news[0].GetOverride()
			if o.GetStatus() != status || o.GetAuthor() != somebody || o.GetReason() != "new disks" ||
				!o.GetSetAt().AsTime().Equal(time.Now()) || !o.GetExpiresAt().AsTime().Equal(time.Now().Add(time.Hour)) {
				t.Errorf("the override: %v", o)
			}
		})
	}
}

// The status under an override is still updated, and is published when the override is cleared.
func TestClearOverride(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		r := w.report(pushed(w.lease("pay/1"), pb.Status_STATUS_SERVING))
		w.is("pay/1 SERVING")
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		for _, req := range []any{forAnHour("pay/1", pb.Status_STATUS_MAINTENANCE), forAnHour("pay/1", pb.Status_STATUS_NOT_SERVING)} {
			if err := w.send(req); err != nil {
				t.Fatal(err)
			}
		}
		r.says(&pb.ReportRequest{Status: pb.Status_STATUS_DEGRADED})
		w.is("pay/1 NOT_SERVING") // the second override holds, and not the reported status
		in.entries()
		for range 2 { // the second call finds no override, which is no error
			if err := w.send(&pb.ClearOverrideRequest{Name: "pay/1"}); err != nil {
				t.Fatal(err)
			}
		}
		in.wants("pay/1 DEGRADED")
		if o := w.check("pay/1").GetOverride(); o != nil {
			t.Errorf("an override: %v", o)
		}
	})
}

func TestOverrideExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.registered(fixture("pay/1"))
		if err := w.send(good()); err != nil {
			t.Fatal(err)
		}
		if at := w.check("pay/1").GetOverride().GetExpiresAt().AsTime(); !at.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("it expires at %v", at)
		}
		time.Sleep(time.Hour - time.Second)
		w.is("pay/1 MAINTENANCE")
		time.Sleep(2 * time.Second)
		w.is("pay/1 STARTING")
	})
}

// An override belongs to the name and not to the process. A new process, an expired lease
// and a restart of the coordinator do not end it.
func TestOverrideSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := store.NewMemory(0)
		w := newWorld(t, func(s *setup) { s.store = kept })
		w.registered(brief("pay/1", 30*time.Second), fixture("pay/2"))
		for _, name := range []string{"pay/1", "pay/2"} {
			if err := w.send(forAnHour(name, pb.Status_STATUS_MAINTENANCE)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		w.is("pay/1 MAINTENANCE")
		r := instance("pay/1")
		r.Incarnation = "i-2"
		w.registered(r)
		w.is("pay/1 MAINTENANCE")
		w.end()
		w = newWorld(t, func(s *setup) { s.store, s.epoch = kept, 78 })
		for _, name := range []string{"pay/1", "pay/2"} {
			h := w.check(name)
			if h.GetStatus() != pb.Status_STATUS_MAINTENANCE || h.GetOverride().GetAuthor() != somebody {
				t.Errorf("after the restart: %v", h)
			}
		}
	})
}

// An override outlasts its name. It is still listed, and holds when the name is registered
// again.
func TestOverrideOutlastsItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := store.NewMemory(0)
		w := newWorld(t, func(s *setup) { s.store = kept })
		l := w.lease("pay/1")
		if err := w.send(forAnHour("pay/1", pb.Status_STATUS_MAINTENANCE)); err != nil {
			t.Fatal(err)
		}
		if err := w.send(farewell(l)); err != nil {
			t.Fatal(err)
		}
		list, err := w.admin.ListOverrides(t.Context(), &pb.ListOverridesRequest{})
		if err != nil || len(list.GetOverrides()) != 1 || list.GetOverrides()[0].GetInstances() != 0 {
			t.Errorf("listed are %v, %v", list, err)
		}
		w.lease("pay/1")
		w.is("pay/1 MAINTENANCE")
		w.end()
		if s, err := kept.Load(t.Context()); err != nil || len(s.Overrides) != 1 {
			t.Errorf("the store holds %v, %v", s.Overrides, err)
		}
	})
}

func TestOverrideOfUnknownNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.lease("pay/1")
		if err := w.send(farewell(l)); err != nil {
			t.Fatal(err)
		}
		w.lease("shop/1")
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		for _, name := range []string{"pay/1", "pay/2", "shop/2", "SHOP/1"} {
			for _, req := range []any{forAnHour(name, pb.Status_STATUS_SERVING), &pb.ClearOverrideRequest{Name: name}} {
				err := w.send(req)
				wantCode(t, err, codes.NotFound, wire.ReasonNotFound)
				wantText(t, err, name, "not found")
			}
		}
		in.wants()
	})
}

// Control characters are removed from the reason. The author in the request is ignored.
func TestOverrideTextIsCleaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.lease("pay/1")
		q := forAnHour("pay/1", pb.Status_STATUS_MAINTENANCE)
		q.Author, q.Reason = "a\x1b[2Jnn", "new\u202e disks\n"
		if err := w.send(q); err != nil {
			t.Fatal(err)
		}
		if o := w.check("pay/1").GetOverride(); o.GetAuthor() != somebody || o.GetReason() != "new  disks " {
			t.Errorf("%q, %q", o.GetAuthor(), o.GetReason())
		}
	})
}

// An override of an instance changes the status of its service.
func TestOverrideCountsInItsService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.lease("pay/1")
		time.Sleep(2 * health.DefaultStartupGrace) // an instance counts after its startup grace
		if err := w.send(forAnHour("pay/1", pb.Status_STATUS_NOT_SERVING)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"pay", health.MeshName} {
			if h := w.check(name); h.GetStatus() != pb.Status_STATUS_NOT_SERVING {
				t.Errorf("%s: %v", name, h)
			}
		}
	})
}
