package server_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/logs/logtest"
	"github.com/meshhealth/meshhealth/server"
)

var unmeant = []server.Service{{Name: "reports", Checks: []string{"databse"}}}

// TestRefusedRunIsLogged: programs that call go srv.Run(ctx) find the error in the log.
func TestRefusedRunIsLogged(t *testing.T) {
	for _, given := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var out logtest.Record
			cfg := server.Config{Services: unmeant, ShowReasons: func(context.Context) bool { return true }}
			if given {
				cfg.Logger = out.Logger()
			} else {
				out.AsDefault(t)
			}
			s := newServer(t, cfg)
			add(t, s, server.Check{Name: "database", Run: pass})
			go s.Run(t.Context())
			out.Want(t, "ERROR", `service=payments`, `Services[0].Checks[0]: there is no check \"databse\"`)
			wantStatus(t, s, health.Starting)
			const reason = `no check runs: Run has refused the configuration: Services[0].Checks[0]: there is no check "databse"`
			if got := current(t, s).Reason; !strings.HasPrefix(got, reason) {
				t.Errorf("reason %q, want %q", got, reason)
			}
			wantPage(t, s, "/readyz", 503, "STARTING: "+reason+"\n")
		})
	}
}

// TestRefusedRunTellsStrangersNoNames: callers who may not see reasons do not see names
// of checks.
func TestRefusedRunTellsStrangersNoNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{Services: unmeant, Logger: slog.New(slog.DiscardHandler)})
		go s.Run(t.Context())
		wantPage(t, s, "/readyz", 503, "STARTING: no check runs: Run has refused the configuration\n")
	})
}

func TestSecondRunIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Record
		s := newServer(t, server.Config{Logger: out.Logger()})
		start(t, s)
		go s.Run(t.Context())
		out.Want(t, "ERROR", "Run was called again, which does nothing")
		wantStatus(t, s, health.Serving) // the first Run continues
	})
}

// TestOrderlyEndIsNotLogged: the end of its context is no error of Run.
func TestOrderlyEndIsNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Record
		s := newServer(t, server.Config{Logger: out.Logger()})
		add(t, s, server.Check{Name: "db", Run: pass})
		start(t, s)()
		if lines := append(out.Lines("ERROR"), out.Lines("WARN")...); len(lines) > 0 {
			t.Errorf("logged: %q", lines)
		}
	})
}

// TestRunWasNotCalled: 10 s after the first request, over any protocol, the status, the
// page and the log say that Run was not called.
func TestRunWasNotCalled(t *testing.T) {
	const reason = "no check runs: Run was not called"
	for name, ask := range map[string]func(*testing.T, *server.Server){
		"HTTP": func(_ *testing.T, s *server.Server) { get(s, "/livez") },
		"Check": func(t *testing.T, s *server.Server) {
			_ = checkNow(t, healthpb.NewHealthClient(serve(t, s).dial(t)))
		},
		"List": func(t *testing.T, s *server.Server) {
			_, _ = healthpb.NewHealthClient(serve(t, s).dial(t)).List(t.Context(), &healthpb.HealthListRequest{})
		},
		"meshhealth List": func(t *testing.T, s *server.Server) {
			_, _ = pb.NewHealthServiceClient(serve(t, s).dial(t)).List(t.Context(), &pb.ListRequest{})
		},
		"Watch": func(t *testing.T, s *server.Server) {
			stream, err := healthpb.NewHealthClient(serve(t, s).dial(t)).Watch(t.Context(), &healthpb.HealthCheckRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			if err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out logtest.Record
				out.AsDefault(t)
				s := newServer(t, server.Config{})
				add(t, s, server.Check{Name: "db", Run: pass})
				time.Sleep(time.Hour) // no request
				ask(t, s)
				time.Sleep(10*time.Second - 1)
				if lines := out.Lines("ERROR"); len(lines) > 0 {
					t.Errorf("too early: %q", lines)
				}
				time.Sleep(2 * time.Nanosecond)
				out.Want(t, "ERROR", reason, "service=payments")
				if e := current(t, s); e.Status != health.Starting || !strings.HasPrefix(e.Reason, reason) {
					t.Errorf("%v, %q", e.Status, e.Reason)
				}
				wantPage(t, s, "/readyz", 503, "STARTING: "+reason+"\n")
				if w := get(s, "/readyz", "Accept", "application/json"); !strings.Contains(w.Body.String(), `"reason":"`+reason) {
					t.Errorf("JSON: %s", w.Body)
				}
				// A late Run works as usual and removes the note.
				start(t, s)
				wantStatus(t, s, health.Serving)
				wantPage(t, s, "/readyz", 200, "SERVING\n")
				if got := current(t, s).Reason; got != "" {
					t.Errorf("reason %q, want none", got)
				}
			})
		})
	}
}

// TestRunWasNotCalledWithoutChecks: only a server with checks needs Run.
func TestRunWasNotCalledWithoutChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Record
		s := newServer(t, server.Config{Logger: out.Logger()})
		for range 3 {
			get(s, "/readyz")
			time.Sleep(time.Minute)
		}
		if lines := out.Lines("ERROR"); len(lines) > 0 {
			t.Errorf("logged: %q", lines)
		}
		add(t, s, server.Check{Name: "db", Run: pass})
		get(s, "/readyz")
		time.Sleep(11 * time.Second)
		out.Want(t, "ERROR", "Run was not called")
	})
}

// TestBlockedLogHoldsNothingUp: a log that blocks delays neither checks, nor
// publications, nor the end of Run.
func TestBlockedLogHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := logtest.Record{Blocked: make(chan struct{})}
		s := newServer(t, server.Config{Logger: out.Logger()})
		db := &probe{}
		add(t, s, server.Check{Name: "db", Run: db.run, Every: time.Second})
		stop := start(t, s)
		for range 1000 {
			db.set(errDown)
			time.Sleep(10 * time.Second)
			wantStatus(t, s, health.NotServing)
			db.set(nil)
			time.Sleep(10 * time.Second)
			wantStatus(t, s, health.Serving)
		}
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("Run took %v to end, want 1s at most", took)
		}
		close(out.Blocked)
		if got := len(out.Lines("WARN")); got != 2000 { // DEGRADED and NOT_SERVING for each failure
			t.Errorf("%d warnings are written in the end, want 2000", got)
		}
	})
}
