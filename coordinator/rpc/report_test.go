package rpc

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// says is a later message of a Report: it need not name the lease again.
func says(s pb.Status) *pb.ReportRequest { return &pb.ReportRequest{Status: s} }

// pushing reports whether pay/1 is one that is not followed.
func (w *world) pushing() bool {
	synctest.Wait()
	e, ok := w.registry.Feed().Get(health.ID{Service: "pay", Instance: "1"})
	return ok && e.Pushed
}

func TestReportReachesAWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.lease("pay/1")
		in := w.watch(&pb.WatchRequest{Names: []string{"pay/1"}})
		in.wants("pay/1 STARTING")
		first := pushed(l, pb.Status_STATUS_NOT_SERVING)
		first.Cause, first.Reason = pb.Cause_CAUSE_TIMEOUT, "db: too \nslow"
		first.Checks = []*pb.CheckHealth{{Name: "db", Status: pb.Status_STATUS_NOT_SERVING, Reason: "too slow", Runs: 5}}
		first.Metrics = &pb.Metrics{Runs: 5, Gauges: map[string]float64{"queue": 3}}
		r := w.report(first)
		news := in.entries()
		if len(news) == 0 {
			t.Fatal("nothing has come")
		}
		h := news[len(news)-1]
		if line(h) != "pay/1 NOT_SERVING" || h.GetCause() != pb.Cause_CAUSE_TIMEOUT || h.GetReason() != "db: too  slow" ||
			h.GetChecks()[0].GetRuns() != 5 || h.GetMetrics().GetGauges()["queue"] != 3 {
			t.Errorf("the Watch got %v", h)
		}
		for _, s := range []pb.Status{
			pb.Status_STATUS_STARTING, pb.Status_STATUS_SERVING, pb.Status_STATUS_DEGRADED, pb.Status_STATUS_NOT_SERVING,
			pb.Status_STATUS_MAINTENANCE, pb.Status_STATUS_DRAINING,
		} {
			r.says(says(s))
			in.wants("pay/1 " + short(s))
		}
		r.open()
		if !w.pushing() {
			t.Error("it is followed")
		}
	})
}

// A Report keeps the lease, and ends with OK when its sender closes it; the
// instance is followed again then, and keeps its status until that tells.
func TestReportIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		r := w.report(pushed(w.registered(brief("pay/1", 30*time.Second))[0], pb.Status_STATUS_SERVING))
		for range 10 {
			time.Sleep(25 * time.Second)
			r.says(says(pb.Status_STATUS_SERVING))
		}
		w.is("pay/1 SERVING")
		if err := r.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := r.end(); err != nil || !r.ended {
			t.Errorf("ended %v with %v", r.ended, err)
		}
		w.is("pay/1 SERVING")
		if w.pushing() {
			t.Error("it is not followed")
		}
	})
}

// A stream that breaks says nothing about the instance.
func TestReportBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		r := w.report(pushed(w.lease("pay/1"), pb.Status_STATUS_SERVING))
		w.is("pay/1 SERVING")
		r.cancel()
		wantCode(t, r.end(), codes.Canceled, "")
		time.Sleep(time.Minute)
		w.is("pay/1 SERVING")
		if w.pushing() {
			t.Error("it is not followed")
		}
	})
}

// Silence speaks against the path: unconfirmed at once, and when nothing else
// is heard, lost.
func TestReportSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.registered(brief("pay/1", time.Minute))[0]
		r := w.report(pushed(l, pb.Status_STATUS_SERVING))
		for range 3 {
			time.Sleep(reportSilence - time.Second)
			r.says(says(pb.Status_STATUS_SERVING))
			r.open()
		}
		time.Sleep(reportSilence - time.Second)
		w.is("pay/1 SERVING")
		time.Sleep(2 * time.Second)
		w.is("pay/1 SERVING unconfirmed")
		if h := w.check("pay/1"); h.GetReason() != "the instance has stopped reporting" || h.GetNextCause() != pb.Cause_CAUSE_UNREACHABLE {
			t.Errorf("%v", h)
		}
		wantText(t, r.end(), "the instance has stopped reporting")
		if !r.ended || w.pushing() {
			t.Errorf("the stream ended: %v, it is followed: %v", r.ended, !w.pushing())
		}
		time.Sleep(health.DefaultUnreachableAfter)
		w.is("pay/1 NOT_SERVING")
		if h := w.check("pay/1"); h.GetCause() != pb.Cause_CAUSE_UNREACHABLE {
			t.Errorf("%v", h)
		}
		// It comes back, and is believed at once.
		w.report(pushed(l, pb.Status_STATUS_DEGRADED))
		w.is("pay/1 DEGRADED")
	})
}

// An instance that reports no more but renews is alive: only the path is bad,
// and it is asked to report.
func TestReportSilenceOfWhoRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.registered(brief("pay/1", time.Minute))[0]
		w.report(pushed(l, pb.Status_STATUS_SERVING))
		var asked bool
		for range 10 {
			time.Sleep(10 * time.Second)
			resp, err := w.leases.Renew(t.Context(), renewal(l))
			if err != nil {
				t.Fatal(err)
			}
			asked = resp.GetUnreachable()
		}
		w.is("pay/1 SERVING unconfirmed")
		if !asked {
			t.Error("it is not asked to report")
		}
	})
}

func TestReportRefusesABadMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.lease("pay/1")
		for _, s := range []pb.Status{pb.Status_STATUS_UNKNOWN, pb.Status_STATUS_SERVICE_UNKNOWN, 99} {
			r := w.report(pushed(l, pb.Status_STATUS_SERVING))
			r.open()
			r.says(says(s))
			err := r.end()
			wantCode(t, err, codes.InvalidArgument, "")
			if got, _ := violation(err, "status"); got == "" {
				t.Errorf("%v", err)
			}
			w.is("pay/1 SERVING") // what it said before holds
			if w.pushing() {
				t.Error("it is not followed")
			}
		}
	})
}

// Whoever loses its name loses its stream too, with the next message.
func TestReportOfALostName(t *testing.T) {
	for what, want := range map[string]struct {
		lose   func(w *world, l *pb.Lease) error
		code   codes.Code
		reason string
		after  string
	}{
		"superseded": {func(w *world, _ *pb.Lease) error {
			r := instance("pay/1")
			r.Incarnation = "i-2"
			return w.send(&pb.RegisterRequest{Registrations: []*pb.Registration{r}})
		}, codes.FailedPrecondition, wire.ReasonSuperseded, "pay/1 STARTING"},
		"deregistered": {func(w *world, l *pb.Lease) error {
			return w.send(farewell(l))
		}, codes.NotFound, wire.ReasonLeaseUnknown, " UNKNOWN"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			l := w.lease("pay/1")
			r := w.report(pushed(l, pb.Status_STATUS_SERVING))
			r.open()
			if err := want.lose(w, l); err != nil {
				t.Fatal(err)
			}
			r.open()
			r.says(says(pb.Status_STATUS_NOT_SERVING))
			t.Log(what)
			wantCode(t, r.end(), want.code, want.reason)
			if got := line(w.check("pay/1")); got != want.after {
				t.Errorf("%s: %q, want %q", what, got, want.after)
			}
		})
	}
}

// Two streams of one lease are both heard, the latest message wins, and one
// that ends takes nothing from the other.
func TestTwoReportsOfOneInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.lease("pay/1")
		old := w.report(pushed(l, pb.Status_STATUS_SERVING))
		old.open()
		young := w.report(pushed(l, pb.Status_STATUS_DEGRADED))
		young.open()
		w.is("pay/1 DEGRADED")
		old.says(says(pb.Status_STATUS_NOT_SERVING))
		w.is("pay/1 NOT_SERVING")
		if err := old.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		old.end()
		young.says(says(pb.Status_STATUS_SERVING))
		young.open()
		w.is("pay/1 SERVING")
		if !w.pushing() {
			t.Error("it is followed, although a stream is open")
		}
	})
}

// What one report may carry is cut, not refused.
func TestReportIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		m := pushed(w.lease("pay/1"), pb.Status_STATUS_DEGRADED)
		m.Reason = long(5000)
		m.Checks = slices.Repeat([]*pb.CheckHealth{{Name: long(300), Reason: long(5000), LastRunAge: durationpb.New(-1)}}, 200)
		m.Metrics = &pb.Metrics{Gauges: map[string]float64{}}
		for key := range labels(100) {
			m.Metrics.Gauges[key] = 1
		}
		w.report(m)
		synctest.Wait()
		h := w.check("pay/1")
		if len(h.GetReason()) > wire.MaxText || len(h.GetChecks()) != wire.MaxChecks || len(h.GetMetrics().GetGauges()) != wire.MaxGauges ||
			len(h.GetChecks()[0].GetName()) > wire.MaxName || len(h.GetChecks()[0].GetReason()) > wire.MaxText {
			t.Errorf("%d bytes of reason, %d checks, %d gauges", len(h.GetReason()), len(h.GetChecks()), len(h.GetMetrics().GetGauges()))
		}
	})
}
