package api

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

// Silence is evidence against the path: the instance is unconfirmed at once, and later
// NOT_SERVING if no other evidence comes.
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
		err := r.end()
		wantCode(t, err, codes.DeadlineExceeded, "")
		wantText(t, err, "the instance has stopped reporting")
		if w.pushing() {
			t.Error("it is not followed")
		}
		time.Sleep(health.DefaultUnreachableAfter)
		w.is("pay/1 NOT_SERVING")
		if h := w.check("pay/1"); h.GetCause() != pb.Cause_CAUSE_UNREACHABLE {
			t.Errorf("%v", h)
		}
		// When it reports again, its status holds at once.
		w.report(pushed(l, pb.Status_STATUS_DEGRADED))
		w.is("pay/1 DEGRADED")
	})
}

// An instance that no longer reports but renews is alive: only the path is bad, and the
// instance is asked to report.
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

// Of two streams of one lease, both are read, and the latest message holds. The end of one
// does not affect the other.
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
		if err := old.end(); err != nil {
			t.Error(err)
		}
		young.says(says(pb.Status_STATUS_SERVING))
		young.open()
		w.is("pay/1 SERVING")
		if !w.pushing() {
			t.Error("it is followed, although a stream is open")
		}
	})
}

// The silence of an old stream on a dead connection is no evidence while a new stream of the
// instance reports.
func TestSilenceOfAnOldReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.lease("pay/1")
		dead := w.report(pushed(l, pb.Status_STATUS_SERVING))
		dead.open()
		young := w.report(pushed(l, pb.Status_STATUS_SERVING))
		young.open()
		in := w.watch(&pb.WatchRequest{Names: []string{"pay/1"}})
		in.wants("pay/1 SERVING")
		for range 5 {
			time.Sleep(10 * time.Second)
			young.says(says(pb.Status_STATUS_SERVING))
		}
		wantCode(t, dead.end(), codes.DeadlineExceeded, "")
		young.open()
		in.wants() // never unconfirmed
		if !w.pushing() {
			t.Error("it is followed, although a stream is open")
		}
		time.Sleep(reportSilence + time.Second)
		w.is("pay/1 SERVING unconfirmed")
		if w.pushing() {
			t.Error("it is not followed, although no stream is open")
		}
	})
}

// A stream without any message ends too.
func TestReportThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		r, closed := w.report(nil), w.report(nil)
		if err := closed.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		wantCode(t, closed.end(), codes.InvalidArgument, "")
		time.Sleep(reportSilence - time.Second)
		r.open()
		time.Sleep(2 * time.Second)
		wantCode(t, r.end(), codes.DeadlineExceeded, "")
		in.wants()
	})
}

// A report with too many checks is cut and not refused.
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
