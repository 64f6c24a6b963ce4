package server_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// shown returns a check by name.
func shown(t *testing.T, s *server.Server, name string) server.CheckInfo {
	t.Helper()
	synctest.Wait()
	for _, c := range s.Checks() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s", name)
	return server.CheckInfo{}
}

// TestBlocked: while a dependency is bad, the check does not run, has the cause blocked
// and does not become stale. It runs as soon as the dependency is well.
func TestBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, db, orders := &probe{}, &probe{}, &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "orders", Run: orders.run, DependsOn: []string{"db"}},
			server.Check{Name: "db", Run: db.run, DependsOn: []string{"dns"}},
			server.Check{Name: "dns", Run: dns.run, RecoverAfter: 1})
		dns.takes(honouring(time.Second))
		start(t, s)
		if c := shown(t, s, "orders"); len(db.runs())+len(orders.runs()) != 0 || c.Status != health.Starting || c.Cause != health.CauseBlocked || c.Reason != "blocked by dns" {
			t.Errorf("before dns has answered: %+v", c)
		}
		time.Sleep(time.Second)
		wantStatus(t, s, health.Serving)
		dns.takes(nil)
		dns.set(errDown)
		time.Sleep(time.Minute)
		wantStatus(t, s, health.NotServing)
		runs := len(orders.runs())
		for _, name := range []string{"db", "orders"} {
			if c := shown(t, s, name); c.Status != health.NotServing || c.Cause != health.CauseBlocked || c.Reason != "blocked by dns" {
				t.Errorf("%s: %+v", name, c)
			}
		}
		time.Sleep(time.Hour)
		if n := len(orders.runs()) - runs; n != 0 {
			t.Errorf("%d runs while blocked", n)
		}
		if e := current(t, s); e.Reason != "orders: blocked by dns; db: blocked by dns; dns: down" {
			t.Errorf("reason %q", e.Reason)
		}
		dns.set(nil)
		untilRun(t, dns)
		synctest.Wait()
		if n := len(orders.runs()) - runs; n != 1 {
			t.Errorf("%d runs as soon as dns is well, want one", n)
		}
		wantStatus(t, s, health.Serving) // both were SERVING before they were blocked
	})
}

// TestBlockedByWhatIsRemoved: a removed check blocks nothing.
func TestBlockedByWhatIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "dns", Run: (&probe{err: errDown}).run}, server.Check{Name: "db", Run: db.run, DependsOn: []string{"dns"}})
		start(t, s)
		wantStatus(t, s, health.NotServing)
		s.Remove("dns")
		wantStatus(t, s, health.Serving)
		if len(db.runs()) != 1 {
			t.Errorf("%d runs", len(db.runs()))
		}
	})
}

// TestDependsOnIsChecked: Add returns errors for unknown names and for cycles.
func TestDependsOnIsChecked(t *testing.T) {
	s := newServer(t, server.Config{})
	add(t, s, server.Check{Name: "there", Run: pass})
	err := s.Add(server.Check{Name: "x", Run: pass, DependsOn: []string{"there", "nobody"}}, server.Check{Name: "y", Run: pass, DependsOn: []string{"nowhere"}})
	wantFields(t, err, "DependsOn[1]", "DependsOn[0]")
	for want, checks := range map[string][]server.Check{
		`"a": DependsOn: is a cycle: a depends on a`: {{Name: "a", Run: pass, DependsOn: []string{"a"}}},
		`"b": DependsOn: is a cycle: b depends on c depends on d depends on b`: {
			{Name: "a", Run: pass, DependsOn: []string{"b"}},
			{Name: "b", Run: pass, DependsOn: []string{"there", "c"}},
			{Name: "c", Run: pass, DependsOn: []string{"d"}},
			{Name: "d", Run: pass, DependsOn: []string{"b"}},
		},
	} {
		if err := s.Add(checks...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if n := len(s.Checks()); n != 1 {
		t.Errorf("%d checks, want the one that was there", n)
	}
}

// TestBreaker: after BreakAfter failures in a row the time between runs grows, up to a
// minute. A pass closes the breaker.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{err: errDown}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: p.run, Every: 10 * time.Second, BreakAfter: 3})
		start(t, s)
		time.Sleep(10 * time.Minute)
		runs := p.runs()
		if !shown(t, s, "db").BreakerOpen || len(runs) < 12 || len(runs) > 16 {
			t.Fatalf("%d runs in ten minutes", len(runs))
		}
		for i, want := range []time.Duration{0, 0, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
			if gap := runs[i+1].Sub(runs[i]); want > 0 && (gap < want*9/10 || gap > want*11/10) {
				t.Errorf("%v between probes %d and %d, want %v", gap, i, i+1, want)
			}
		}
		p.set(nil)
		time.Sleep(2 * time.Minute)
		if c := shown(t, s, "db"); c.BreakerOpen || c.Status != health.Serving {
			t.Errorf("after it has passed: %+v", c)
		}
	})
}

// TestBreakerAndDependsOn: if the breaker is open and a dependency improves, the check runs
// at once.
func TestBreakerAndDependsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, db := &probe{}, &probe{err: errDown}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "dns", Run: dns.run, DegradeAfter: 1}, server.Check{Name: "db", Run: db.run, DependsOn: []string{"dns"}, BreakAfter: 2})
		start(t, s)
		time.Sleep(5 * time.Minute)
		dns.set(health.Warnf("slow"))
		untilRun(t, dns)
		synctest.Wait()
		runs, better := db.runs(), dns.runs()
		if last, at := runs[len(runs)-1], better[len(better)-1]; !last.Equal(at) {
			t.Errorf("last probed at %v, and it got better at %v", last, at)
		}
	})
}
