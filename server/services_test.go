package server_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
	"github.com/meshhealth/meshhealth/server"
)

// TestSeveralServices: one process serves several names. Each name is judged by its own
// checks, and Config.Service by all checks.
func TestSeveralServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, queue, mail := &probe{}, &probe{}, &probe{}
		s := newServer(t, server.Config{Services: []server.Service{
			{Name: "orders", Tags: []string{"storage"}},
			{Name: "notices", Checks: []string{"mail"}, Tags: []string{"queue"}},
		}})
		add(t, s, server.Check{Name: "db", Run: db.run, Tags: []string{"storage"}},
			server.Check{Name: "queue", Run: queue.run, Tags: []string{"storage", "queue"}},
			server.Check{Name: "mail", Run: mail.run})
		stock := healthpb.NewHealthClient(serve(t, s).dial(t))
		start(t, s)
		is := func(want map[string]healthpb.HealthCheckResponse_ServingStatus) {
			t.Helper()
			synctest.Wait()
			for name, status := range want {
				r, err := stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
				if err != nil || r.GetStatus() != status {
					t.Errorf("%q: %v, %v; want %v", name, r, err, status)
				}
			}
		}
		const up, down = healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
		is(map[string]healthpb.HealthCheckResponse_ServingStatus{"": up, service: up, "orders": up, "notices": up})
		mail.set(errDown)
		time.Sleep(time.Minute)
		is(map[string]healthpb.HealthCheckResponse_ServingStatus{"": down, service: down, "orders": up, "notices": down})
		mail.set(nil)
		db.set(errDown)
		time.Sleep(time.Minute)
		is(map[string]healthpb.HealthCheckResponse_ServingStatus{"": down, service: down, "orders": down, "notices": up})
		list, err := stock.List(t.Context(), &healthpb.HealthListRequest{})
		if err != nil || len(list.GetStatuses()) != 4 {
			t.Errorf("%v, %v", list, err)
		}
		mesh, err := pb.NewHealthServiceClient(serve(t, s).dial(t)).Check(t.Context(), &pb.CheckRequest{Service: "notices"})
		if err != nil || len(mesh.GetHealth().GetChecks()) != 2 {
			t.Errorf("notices: %v, %v; want its two checks", mesh, err)
		}
		s.Remove("db")
		is(map[string]healthpb.HealthCheckResponse_ServingStatus{"": up, "orders": up})
		if err := s.SetStatus(health.Maintenance, "new disk"); err != nil {
			t.Fatal(err)
		}
		is(map[string]healthpb.HealthCheckResponse_ServingStatus{"": down, "orders": down, "notices": down})
	})
}

// TestServicesMustMeanSomething: Run returns all names and tags that match no check in
// one error.
func TestServicesMustMeanSomething(t *testing.T) {
	s := newServer(t, server.Config{Services: []server.Service{
		{Name: "orders", Tags: []string{"storage", "strage"}},
		{Name: "notices", Checks: []string{"mial"}},
	}})
	add(t, s, server.Check{Name: "db", Run: pass, Tags: []string{"storage"}})
	wantFields(t, s.Run(t.Context()), "Services[0].Tags[1]", "Services[1].Checks[0]")
}

func TestServicesAreChecked(t *testing.T) {
	_, err := server.New(server.Config{Service: service, Services: []server.Service{
		{Name: service, Checks: []string{"a"}}, {Name: "a/b", Checks: []string{"a"}}, {Name: "c"}, {Name: "c", Tags: []string{"t"}},
	}})
	wantFields(t, err, "Services[0].Name", "Services[1].Name", "Services[2]", "Services[3].Name")
	_, err = server.New(server.Config{Service: service, Services: make([]server.Service, 99)})
	wantFields(t, err, "Services")
}

// TestLivenessIsNotReadiness: a liveness check is shown, but has no effect on readiness.
func TestLivenessIsNotReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop := &probe{err: errDown, within: honouring(time.Second)}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: pass}, server.Check{Name: "loop", Run: loop.run, Kind: server.Liveness})
		start(t, s)
		wantStatus(t, s, health.Serving)
		time.Sleep(time.Minute)
		wantStatus(t, s, health.Serving)
		if e := current(t, s); len(e.Checks) != 2 || e.Checks[1].Status != health.NotServing {
			t.Errorf("shown %+v", e.Checks)
		}
	})
}

// TestInitialDelay: the first run waits, and the check is not stale before it.
func TestInitialDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: pass}, server.Check{Name: "cache", Run: slow.run, InitialDelay: time.Minute})
		began := time.Now()
		start(t, s)
		time.Sleep(time.Minute - time.Millisecond)
		wantStatus(t, s, health.Starting)
		time.Sleep(time.Millisecond)
		wantStatus(t, s, health.Serving)
		if runs := slow.runs(); len(runs) != 1 || runs[0].Sub(began) != time.Minute {
			t.Errorf("ran at %v", runs)
		}
	})
}

// TestManyChecks: of thousands of checks the worst are shown first, and the reason stays
// short.
func TestManyChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		s := newServer(t, server.Config{MaxConcurrent: -1})
		checks := make([]server.Check, n)
		for i := range checks {
			run := pass
			if i%100 == 99 {
				run = func(context.Context) error { return errDown }
			}
			checks[i] = server.Check{Name: fmt.Sprintf("c%04d", i), Run: run}
		}
		add(t, s, checks...)
		start(t, s)
		wantStatus(t, s, health.NotServing)
		time.Sleep(time.Second) // changes of many checks are published in several steps
		e := current(t, s)
		bad := 0
		for _, c := range e.Checks {
			if c.Status == health.NotServing {
				bad++
			}
		}
		if len(e.Checks) != wire.MaxChecks || bad != n/100 || len(e.Reason) > wire.MaxText {
			t.Errorf("%d shown, %d of them bad, a reason of %d bytes", len(e.Checks), bad, len(e.Reason))
		}
	})
}
