package server_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// probed returns a server with the three names that kubelet asks for.
type probed struct {
	t                       *testing.T
	s                       *server.Server
	stock                   *side
	db, loop, migrate, pool *probe
}

func newProbed(t *testing.T, cfg server.Config) *probed {
	t.Helper()
	cfg.Services = append(cfg.Services,
		server.Service{Name: "live", Kind: server.Liveness},
		server.Service{Name: "started", Kind: server.Startup})
	p := &probed{t: t, s: newServer(t, cfg), db: &probe{}, loop: &probe{}, migrate: &probe{within: honouring(time.Second), err: errDown}, pool: &probe{}}
	add(t, p.s, server.Check{Name: "db", Run: p.db.run},
		server.Check{Name: "loop", Run: p.loop.run, Kind: server.Liveness},
		server.Check{Name: "pool", Run: p.pool.run, Kind: server.Liveness, OnFail: server.Degrade},
		server.Check{Name: "migrate", Run: p.migrate.run, Kind: server.Startup, RecoverAfter: 1})
	p.stock = newSide(t, p.s, p.s.Register, []string{"live", "started", ""})
	return p
}

// agree fails the test unless Check and Watch of each name and its endpoint have the same
// wanted answer.
func (p *probed) agree(when string, live, ready, started bool) {
	p.t.Helper()
	synctest.Wait()
	for _, one := range []struct {
		path, name string
		want       bool
	}{{"/livez", "live", live}, {"/readyz", "", ready}, {"/startupz", "started", started}} {
		code := get(p.s, one.path).Code
		checked := p.stock.check(p.t, one.name)
		watched := p.stock.watched(one.name)
		if (code == 200) != one.want || (checked == "SERVING") != one.want || watched.String() != checked {
			p.t.Errorf("%s: %s is %d, and %q is %s by Check and %v by Watch; want well: %v", when, one.path, code, one.name, checked, watched, one.want)
		}
	}
}

// TestNamesOfAKind: a name of kind Liveness agrees with
// /livez, a name of kind Startup with /startupz, and "" with /readyz.
func TestNamesOfAKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, server.Config{DegradedNotServing: true, DegradedHTTP: 503})
		p.agree("before Run", true, false, false)
		stop := start(t, p.s)
		p.agree("while the first runs go on", true, false, false)
		time.Sleep(1500 * time.Millisecond)
		p.agree("the migration has failed", true, false, false)
		p.migrate.set(nil)
		time.Sleep(time.Minute)
		p.agree("well", true, true, true)
		p.migrate.set(errDown)
		time.Sleep(time.Minute)
		p.agree("having started cannot be undone", true, false, true)
		p.migrate.set(nil)
		p.pool.set(errDown)
		time.Sleep(time.Minute)
		p.agree("a liveness check that degrades restarts nobody", true, true, true)
		p.pool.set(nil)
		p.loop.set(errDown)
		time.Sleep(time.Minute)
		p.agree("the loop is dead", false, true, true)
		p.loop.set(nil)
		time.Sleep(time.Minute)
		for name, set := range map[string]func(){
			"maintenance":      func() { _ = p.s.SetStatus(health.Maintenance, "disks") },
			"shut down":        p.s.Shutdown,
			"not serving":      func() { p.s.SetServingStatus("", down) },
			"live is set":      func() { p.s.SetServingStatus("live", down) },
			"started is set":   func() { p.s.SetServingStatus("started", down) },
			"starting by hand": func() { _ = p.s.SetStatus(health.Starting, "") },
		} {
			set()
			p.agree(name, true, !strings.HasSuffix(name, "n") && name != "maintenance" && name != "not serving" && name != "starting by hand", true)
			p.s.Resume()
			p.s.SetServingStatus("", up)
			if err := p.s.SetStatus(health.Serving, ""); err != nil {
				t.Fatal(err)
			}
			p.agree("after "+name, true, true, true)
		}
		if err := p.s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.agree("drained", true, false, true)
		stop()
		p.agree("Run has ended", true, false, true)
	})
}

// TestDeadLoopWhileDraining: liveness fails if a loop of the process dies during a drain.
func TestDeadLoopWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, server.Config{Propagation: time.Hour})
		start(t, p.s)
		go func() { _ = p.s.Drain(t.Context()) }()
		p.loop.set(errDown)
		time.Sleep(time.Minute)
		p.agree("while draining", false, false, false)
		time.Sleep(time.Hour)
	})
}

// TestWhyALivenessNameIsDown: meshhealth.v1 names the failing check.
func TestWhyALivenessNameIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, server.Config{})
		p.loop.set(errDown)
		p.db.set(errDown)
		start(t, p.s)
		synctest.Wait()
		e, ok := p.s.Feed().Get(health.ID{Service: "live"})
		if !ok || e.Status != health.NotServing || e.Cause != health.CauseFailed || e.Reason != "loop: down" || len(e.Checks) != 2 {
			t.Errorf("live: %+v", e)
		}
		if e, _ := p.s.Feed().Get(health.ID{Service: "started"}); e.Status != health.Starting || e.Reason != "migrate: starting" || len(e.Checks) != 1 {
			t.Errorf("started: %+v", e)
		}
		if e := current(t, p.s); strings.Contains(e.Reason, "loop") {
			t.Errorf("the service is bad for its loop: %q", e.Reason)
		}
	})
}

// TestNamesOfAKindBySomeChecks: Checks and Tags select among the checks of the kind.
func TestNamesOfAKindBySomeChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, migrate := &probe{}, &probe{}, &probe{within: honouring(time.Second)}
		s := newServer(t, server.Config{Services: []server.Service{
			{Name: "loop-a", Kind: server.Liveness, Checks: []string{"a"}},
			{Name: "loops", Kind: server.Liveness, Tags: []string{"loops"}},
			{Name: "migrated", Kind: server.Startup, Checks: []string{"migrate"}},
		}})
		add(t, s, server.Check{Name: "a", Run: a.run, Kind: server.Liveness, Tags: []string{"loops"}},
			server.Check{Name: "b", Run: b.run, Kind: server.Liveness, Tags: []string{"loops"}},
			server.Check{Name: "db", Run: (&probe{err: errDown}).run, Tags: []string{"loops"}}, // not a liveness check
			server.Check{Name: "migrate", Run: migrate.run, Kind: server.Startup})
		start(t, s)
		is := func(want map[string]string) {
			t.Helper()
			synctest.Wait()
			got := states(t, s)
			for name, status := range want {
				if got[name] != status {
					t.Errorf("%s is %s, want %s", name, got[name], status)
				}
			}
		}
		is(map[string]string{"loop-a": "SERVING", "loops": "SERVING", "migrated": "STARTING", service: "NOT_SERVING"})
		time.Sleep(2 * time.Second)
		is(map[string]string{"migrated": "SERVING"})
		b.set(errDown)
		migrate.set(errDown)
		time.Sleep(time.Minute)
		is(map[string]string{"loop-a": "SERVING", "loops": "NOT_SERVING", "migrated": "SERVING"})
		s.Remove("b")
		is(map[string]string{"loops": "SERVING"})
		add(t, s, server.Check{Name: "again", Run: pass, Kind: server.Startup, InitialDelay: time.Hour})
		is(map[string]string{"migrated": "SERVING"})
	})
}

// TestKindsWithoutChecks: without checks of its kind, a name of kind Liveness or Startup
// is SERVING.
func TestKindsWithoutChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{Services: []server.Service{{Name: "live", Kind: server.Liveness}, {Name: "started", Kind: server.Startup}}})
		add(t, s, server.Check{Name: "db", Run: (&probe{err: errDown}).run})
		if got := states(t, s); got["live"] != "SERVING" || got["started"] != "STARTING" {
			t.Errorf("before Run: %v", got)
		}
		start(t, s)
		if got := states(t, s); got["live"] != "SERVING" || got["started"] != "SERVING" {
			t.Errorf("in Run: %v", got)
		}
		add(t, s, server.Check{Name: "late", Run: (&probe{err: errDown}).run, Kind: server.Startup})
		synctest.Wait()
		if got := states(t, s); got["started"] != "SERVING" {
			t.Errorf("it had started: %v", got)
		}
	})
}

// TestNamesThatCountNothing: Run returns an error for each name that no check can count
// for.
func TestNamesThatCountNothing(t *testing.T) {
	s := newServer(t, server.Config{Services: []server.Service{
		{Name: "ok", Checks: []string{"db", "cache"}},
		{Name: "optional", Checks: []string{"cache"}},
		{Name: "loops", Checks: []string{"loop"}},
		{Name: "live", Kind: server.Liveness, Checks: []string{"db"}},
		{Name: "lives", Kind: server.Liveness},
		{Name: "ignored", Kind: server.Liveness, Tags: []string{"hb"}},
		{Name: "started", Kind: server.Startup, Tags: []string{"hb"}},
	}})
	add(t, s, server.Check{Name: "db", Run: pass},
		server.Check{Name: "cache", Run: pass, OnFail: server.Ignore},
		server.Check{Name: "loop", Run: pass, Kind: server.Liveness},
		server.Check{Name: "beat", Run: pass, Kind: server.Liveness, OnFail: server.Ignore, Tags: []string{"hb"}})
	err := s.Run(t.Context())
	wantFields(t, err, "Services[1]", "Services[2]", "Services[3]", "Services[5]", "Services[6]")
	if want := `Services[2]: is "loops" of kind readiness, and none of its 1 checks counts for it: "loop" is of kind liveness; ` +
		`allowed: at least one check of kind readiness or startup whose OnFail is not Ignore`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = server.New(server.Config{Service: service, Services: []server.Service{{Name: "a", Kind: 3}, {Name: "b"}}})
	wantFields(t, err, "Services[0].Kind", "Services[1]")
}

// TestWatchOfALivenessNameEndsOnly: during a drain the stream ends, but its status stays
// SERVING.
func TestWatchOfALivenessNameEndsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t, server.Config{})
		conn := serve(t, p.s).dial(t)
		start(t, p.s)
		stream, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "live"})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := stream.Recv(); err != nil || m.GetStatus() != up {
			t.Fatalf("%v, %v", m, err)
		}
		if err := p.s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m, err := stream.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("%v, %v; want the end", m, err)
		}
		r, err := pb.NewHealthServiceClient(conn).Check(t.Context(), &pb.CheckRequest{Service: "live"})
		if err != nil || r.GetStatus() != pb.Status_STATUS_SERVING {
			t.Errorf("Check after Drain: %v, %v", r, err)
		}
	})
}
