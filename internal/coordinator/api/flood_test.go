package api

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// budgeted returns a world in which instances have the default budget.
func budgeted(t *testing.T) (*world, *wire.Budgets) {
	budgets := wire.NewBudgets(wire.TargetRate, wire.TargetBurst)
	return newWorld(t, func(s *setup) { s.Budgets = budgets }), budgets
}

// recorded returns the number of records of pay/1 in the history.
func (w *world) recorded() int {
	w.t.Helper()
	page, err := w.admin.ListTransitions(w.t.Context(), &pb.ListTransitionsRequest{Name: "pay/1", PageSize: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(page.GetTransitions())
}

// TestReportFlood: 2,000 alternating reports in 2 s leave few records, and the last report
// is the status soon after. GetCoordinator lists the instance until it has been quiet for a
// minute.
func TestReportFlood(t *testing.T) {
	for what, statuses := range map[string][2]pb.Status{
		"leaves at last":     {pb.Status_STATUS_SERVING, pb.Status_STATUS_DRAINING},
		"comes back at last": {pb.Status_STATUS_DRAINING, pb.Status_STATUS_SERVING},
		"maintenance":        {pb.Status_STATUS_SERVING, pb.Status_STATUS_MAINTENANCE},
		"fails at last":      {pb.Status_STATUS_SERVING, pb.Status_STATUS_NOT_SERVING},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, budgets := budgeted(t)
				r := w.report(pushed(w.lease("pay/1"), pb.Status_STATUS_SERVING))
				r.open()
				before := w.recorded()
				for i := range 2000 {
					time.Sleep(time.Millisecond)
					r.says(says(statuses[i%2]))
				}
				time.Sleep(2 * time.Second)
				r.open()
				if n := w.recorded() - before; n > 10 {
					t.Errorf("%d records", n)
				}
				if names, n := budgets.Flooding(time.Now(), 5); n != 1 || names[0] != "pay/1" {
					t.Errorf("%v flood", names)
				}
				if n := budgets.Dropped(); n < 1800 || n > 1900 {
					t.Errorf("%d messages were dropped", n)
				}
				for range 120 { // it repeats its last report
					time.Sleep(10 * time.Second)
					r.says(says(statuses[1]))
				}
				time.Sleep(time.Second)
				w.is("pay/1 " + short(statuses[1]))
				if names, n := budgets.Flooding(time.Now(), 5); n != 0 {
					t.Errorf("%v flood still", names)
				}
			})
		})
	}
}

// TestReportFloodIsRead: of a long flood, the latest message of each second is used, and the
// sender is slowed down.
func TestReportFloodIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := budgeted(t)
		l := w.lease("pay/1")
		r := w.report(pushed(l, pb.Status_STATUS_SERVING))
		sent := make(chan int)
		go func() {
			n := 0
			for ; r.stream.Send(says(pb.Status_STATUS_DEGRADED)) == nil; n++ {
			}
			sent <- n
		}()
		time.Sleep(10 * time.Second)
		w.is("pay/1 DEGRADED")
		r.cancel()
		// The sender can send what is read and what the HTTP/2 windows hold.
		if n := <-sent; n > 12*maxReadPerSecond+2*wire.StreamWindow {
			t.Errorf("%d messages were sent in 10 s", n)
		}
	})
}

// TestReportWithinItsBudget: each message within the budget is used.
func TestReportWithinItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, budgets := budgeted(t)
		l := w.lease("pay/1")
		in := w.watch(&pb.WatchRequest{Names: []string{"pay/1"}})
		r := w.report(pushed(l, pb.Status_STATUS_SERVING))
		r.open()
		in.entries()
		for range 20 {
			for _, s := range []pb.Status{pb.Status_STATUS_DEGRADED, pb.Status_STATUS_NOT_SERVING} {
				r.says(says(s))
				time.Sleep(50 * time.Millisecond)
				if got := w.check("pay/1").GetStatus(); got != s && s == pb.Status_STATUS_NOT_SERVING {
					t.Fatalf("it is %v, want %v", got, s)
				}
			}
		}
		if budgets.Dropped() != 0 {
			t.Errorf("%d were dropped", budgets.Dropped())
		}
	})
}

// TestFloodThatEnds: the last message is used, however the stream ends. A message about
// another instance ends the stream in a flood too.
func TestFloodThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := budgeted(t)
		l := w.lease("pay/1")
		flood := func() *reports {
			r := w.report(pushed(l, pb.Status_STATUS_SERVING))
			for range 2 * wire.TargetBurst {
				r.says(says(pb.Status_STATUS_SERVING))
			}
			return r
		}
		r := flood()
		r.says(says(pb.Status_STATUS_NOT_SERVING))
		if err := r.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
		w.is("pay/1 NOT_SERVING")
		if w.pushing() {
			t.Error("it is not followed")
		}
		r = flood()
		r.says(&pb.ReportRequest{Instance: "2", Status: pb.Status_STATUS_SERVING})
		wantCode(t, r.end(), codes.InvalidArgument, "")
		r = flood()
		w.stop()
		synctest.Wait()
		wantCode(t, r.end(), codes.Unavailable, wire.ReasonStopping)
	})
}

// TestReportsWithoutABudget: without a budget each message is used.
func TestReportsWithoutABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		r := w.report(pushed(w.lease("pay/1"), pb.Status_STATUS_SERVING))
		r.open()
		revision := w.registry.Feed().Revision()
		for i := range 500 {
			m := says(pb.Status_STATUS_DEGRADED)
			m.Reason = fmt.Sprint(i)
			r.says(m)
			r.open()
		}
		if n := w.registry.Feed().Revision() - revision; n < 500 {
			t.Errorf("%d changes", n)
		}
		if e, ok := w.registry.Feed().Get(health.ID{Service: "pay", Instance: "1"}); !ok || !e.Pushed {
			t.Error("it is not pushed")
		}
	})
}
