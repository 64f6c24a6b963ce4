package server_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// These tests show that defects of other health libraries do not exist here. Panics are
// in TestPanicIsAFailure, TestOnTransition and TestDrainTakesEveryStep. Thresholds are in
// TestThresholds and TestThresholdsAtExactTimes.

// checkNow asks as grpc-health-probe does.
func checkNow(t *testing.T, client healthpb.HealthClient) healthpb.HealthCheckResponse_ServingStatus {
	t.Helper()
	r, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetStatus()
}

// TestHangFromTheSecondRunIsNotGreen: with alexliesenfeld/health and go-sundheit, a check
// whose second run never returns stays up for ever.
func TestHangFromTheSecondRunIsNotGreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, over := &probe{}, make(chan struct{})
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: db.run, Every: 10 * time.Second, Timeout: time.Second})
		client := healthpb.NewHealthClient(serve(t, s).dial(t))
		start(t, s)
		wantStatus(t, s, health.Serving)
		db.takes(func(context.Context) { <-over })
		time.Sleep(time.Minute)
		wantStatus(t, s, health.NotServing)
		if got := checkNow(t, client); got != down {
			t.Errorf("gRPC: %v, want NOT_SERVING", got)
		}
		if w := get(s, "/readyz"); w.Code != 503 {
			t.Errorf("HTTP: %d, want 503", w.Code)
		}
		close(over)
	})
}

// TestClientGoneMidCheckPoisonsNothing: with alexliesenfeld/health, a client that cancels
// its request causes a timeout for the next client.
func TestClientGoneMidCheckPoisonsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: db.run})
		client := healthpb.NewHealthClient(serve(t, s).dial(t))
		start(t, s)
		var stopping atomic.Bool // the end of the test cancels a run too
		db.takes(func(ctx context.Context) {
			honouring(time.Second)(ctx)
			if err := ctx.Err(); err != nil && !stopping.Load() {
				t.Errorf("the run was cut off: %v", err)
			}
		})
		for range 60 { // many of the requests are made during a run
			hasty, hangUp := context.WithTimeout(t.Context(), 500*time.Millisecond)
			stream, err := client.Watch(hasty, &healthpb.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = stream.Recv()
			}
			hangUp()
			if got := checkNow(t, client); got != up {
				t.Errorf("the next one gets %v, want SERVING", got)
			}
		}
		wantStatus(t, s, health.Serving)
		if n := shown(t, s, "db").Failures; n != 0 {
			t.Errorf("%d failures, want none", n)
		}
		stopping.Store(true)
	})
}

// TestProbesDuringASlowCheck: with alexliesenfeld and hellofresh, five requests for a
// check of 100 ms take 500 ms, and with etherlabs they cause five runs. Other requests
// wait too.
func TestProbesDuringASlowCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &probe{within: ignoring(100 * time.Millisecond)}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: db.run, Every: 1000 * time.Hour})
		client := healthpb.NewHealthClient(serve(t, s).dial(t))
		start(t, s)
		begun := time.Now()
		var probes sync.WaitGroup
		for range 5 {
			probes.Go(func() {
				if got := checkNow(t, client); got == up {
					t.Error("SERVING before the check has answered")
				}
				if w := get(s, "/readyz?verbose"); w.Code != 503 {
					t.Errorf("HTTP: %d before the check has answered", w.Code)
				}
			})
		}
		probes.Wait()
		_, _, _ = s.Status(), s.Statuses(), s.Checks()
		if err := errors.Join(
			s.Add(server.Check{Name: "other", Run: pass}),
			s.Tune(map[string]server.Tuning{"db": {FailAfter: 5}}),
			s.SetStatus(health.Serving, ""),
		); err != nil {
			t.Error(err)
		}
		s.Remove("other")
		if took := time.Since(begun); took != 0 || len(db.runs()) != 1 {
			t.Errorf("took %v and %d runs, want no time and the one run", took, len(db.runs()))
		}
		time.Sleep(100 * time.Millisecond)
		wantStatus(t, s, health.Serving)
	})
}

// TestPeriodicChecksAreSpread: 200 checks that take 10 ms every 100 ms need 20 at a time.
// alexliesenfeld and go-sundheit run all 200 at once, every time.
func TestPeriodicChecksAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		all := &probe{within: ignoring(10 * time.Millisecond)}
		s := newServer(t, server.Config{MaxConcurrent: -1})
		for i := range n {
			add(t, s, server.Check{Name: fmt.Sprint(i), Run: all.run, Every: 100 * time.Millisecond, Timeout: 50 * time.Millisecond})
		}
		start(t, s)
		time.Sleep(time.Second) // all first runs begin at once
		all.mu.Lock()
		all.most = 0
		all.mu.Unlock()
		time.Sleep(10 * time.Second)
		if most := all.atOnce(); most > 3*n/10 {
			t.Errorf("%d at once, want about %d", most, n/10)
		}
	})
}

// TestNothingIsGreenBeforeItsFirstResult: InVision/go-health answers 200 "spinning up"
// before the first run.
func TestNothingIsGreenBeforeItsFirstResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "fast", Run: pass}, server.Check{Name: "slow", Run: (&probe{within: honouring(time.Second)}).run})
		client := healthpb.NewHealthClient(serve(t, s).dial(t))
		start(t, s)
		for _, path := range []string{"/readyz", "/readyz/slow"} {
			if w := get(s, path); w.Code != 503 {
				t.Errorf("%s: %d before the first result", path, w.Code)
			}
		}
		if got := checkNow(t, client); got != down {
			t.Errorf("gRPC: %v before the first result", got)
		}
		time.Sleep(time.Second)
		wantStatus(t, s, health.Serving)
	})
}

// TestStopAndStartAgain: after Stop, InVision/go-health neither runs nor starts. Here a
// second Run returns an error, and another server accepts the same checks.
func TestStopAndStartAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &probe{}
		for range 3 {
			s := newServer(t, server.Config{})
			add(t, s, server.Check{Name: "db", Run: db.run})
			before := len(db.runs())
			stop := start(t, s)
			wantStatus(t, s, health.Serving)
			stop()
			runs := len(db.runs())
			time.Sleep(time.Minute)
			if n := len(db.runs()); runs != before+1 || n != runs {
				t.Errorf("%d runs while it ran, %d after; want 1 and none", runs-before, n-runs)
			}
			wantStatus(t, s, health.Draining)
			if err := s.Run(t.Context()); !errors.Is(err, server.ErrRanTwice) {
				t.Errorf("Run again: %v", err)
			}
		}
	})
}

// TestStandardStatusesAreStandard: stock clients treat a status above 3 on grpc.health.v1
// as an error and stop to use the server.
func TestStandardStatusesAreStandard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		client := healthpb.NewHealthClient(serve(t, s).dial(t))
		start(t, s)
		stream, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range []health.Status{
			health.Serving, health.Degraded, health.NotServing, health.Degraded, health.Maintenance,
		} {
			if err := s.SetStatus(is, ""); err != nil {
				t.Fatal(err)
			}
			want := down
			if is == health.Serving || is == health.Degraded {
				want = up
			}
			if got := checkNow(t, client); got != want {
				t.Errorf("%v is %v, want %v", is, got, want)
			}
			list, err := client.List(t.Context(), &healthpb.HealthListRequest{})
			if err != nil || list.GetStatuses()[""].GetStatus() != want {
				t.Errorf("%v is listed as %v, %v; want %v", is, list, err, want)
			}
		}
		go func() { _ = s.Drain(t.Context()) }()
		for {
			m, err := stream.Recv()
			if err != nil {
				break
			}
			if got := m.GetStatus(); got != up && got != down {
				t.Errorf("watched %d", got)
			}
		}
	})
}

// TestStandardServiceIsDeclaredOnce: a second declaration of the protobuf service would
// panic at the start of each program that uses gRPC.
func TestStandardServiceIsDeclaredOnce(t *testing.T) {
	file, err := protoregistry.GlobalFiles.FindFileByPath("grpc/health/v1/health.proto")
	if err != nil || file != healthpb.File_grpc_health_v1_health_proto {
		t.Errorf("%v, %v; want grpc-go's", file, err)
	}
	if ours := pb.File_meshhealth_v1_health_proto; ours.Package() != "meshhealth.v1" {
		t.Errorf("ours is of package %v", ours.Package())
	}
	_ = stock.NewServer() // both servers in one program
}

// TestWatchIsLongLived: if Watch answers and returns, as with schigh/health, stock
// clients call it again at once, 26,000 times per second.
func TestWatchIsLongLived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: pass})
		e := serve(t, s)
		conn := e.dial(t)
		start(t, s)
		d := &diary{begun: time.Now()}
		d.stock(t, "stock", conn)
		time.Sleep(24 * time.Hour)
		d.has(t, "0s: stock: SERVING")
		// Drain ends the stream. With the stock server, GracefulStop would wait for it.
		begun := time.Now()
		if err := s.Stop(e.grpc, time.Minute); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("GracefulStop took %v with a watcher", took)
		}
		d.has(t, "24h0m0s: stock: NOT_SERVING", "24h0m0s: stock: Unavailable")
	})
}
