package api

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// says returns a later message of a Report, which need not name the lease.
func says(s pb.Status) *pb.ReportRequest { return &pb.ReportRequest{Status: s} }

// pushing reports whether pay/1 pushes its status.
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

// A Report renews the lease and ends with OK when its client closes it. The instance is then
// followed again, and keeps its status until the follower has evidence.
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
		if err := r.end(); err != nil {
			t.Error(err)
		}
		w.is("pay/1 SERVING")
		if w.pushing() {
			t.Error("it is not followed")
		}
	})
}

// The break of a stream is no evidence about the instance.
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
			w.is("pay/1 SERVING") // the status before it holds
			if w.pushing() {
				t.Error("it is not followed")
			}
		}
	})
}

// When another process takes over a name, the next message ends the stream of the old one.
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

// A stream is about one instance, and a message that names another is refused.
func TestReportOfAnotherInstance(t *testing.T) {
	for field, m := range map[string]*pb.ReportRequest{
		"service":  {Service: "other"},
		"instance": {Instance: "2"},
		"lease_id": {LeaseId: "1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			r := w.report(pushed(w.lease("pay/1"), pb.Status_STATUS_SERVING))
			r.open()
			m.Status = pb.Status_STATUS_DEGRADED
			r.says(m)
			err := r.end()
			wantCode(t, err, codes.InvalidArgument, "")
			if !strings.Contains(err.Error(), field+": is not that of the stream's first message") {
				t.Errorf("%s: %v", field, err)
			}
			w.is("pay/1 SERVING")
		})
	}
}
