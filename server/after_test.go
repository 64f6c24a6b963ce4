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

// TestBlocked: what comes after something bad does not run, says so, does not
// get stale, and runs at once when that is over.
func TestBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, db, orders := &probe{}, &probe{}, &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "orders", Run: orders.run, After: []string{"db"}},
			server.Check{Name: "db", Run: db.run, After: []string{"dns"}},
			server.Check{Name: "dns", Run: dns.run, RecoverAfter: 1})
		dns.takes(heeding(time.Second))
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
		wantStatus(t, s, health.Serving) // they were well before, and nothing else was seen
	})
}

// TestBlockedByWhatIsRemoved: nothing waits for a check that is gone.
func TestBlockedByWhatIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "dns", Run: (&probe{err: errDown}).run}, server.Check{Name: "db", Run: db.run, After: []string{"dns"}})
		start(t, s)
		wantStatus(t, s, health.NotServing)
		s.Remove("dns")
		wantStatus(t, s, health.Serving)
		if len(db.runs()) != 1 {
			t.Errorf("%d runs", len(db.runs()))
		}
	})
}

// TestAfterIsChecked: unknown names, and circles with their path.
func TestAfterIsChecked(t *testing.T) {
	s := newServer(t, server.Config{})
	add(t, s, server.Check{Name: "there", Run: pass})
	err := s.Add(server.Check{Name: "x", Run: pass, After: []string{"there", "nobody"}}, server.Check{Name: "y", Run: pass, After: []string{"nowhere"}})
	wantFields(t, err, "After[1]", "After[0]")
	for want, checks := range map[string][]server.Check{
		`"a": After: goes in a circle: a after a`: {{Name: "a", Run: pass, After: []string{"a"}}},
		`"b": After: goes in a circle: b after c after d after b`: {
			{Name: "a", Run: pass, After: []string{"b"}},
			{Name: "b", Run: pass, After: []string{"there", "c"}},
			{Name: "c", Run: pass, After: []string{"d"}},
			{Name: "d", Run: pass, After: []string{"b"}},
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

// TestBreaker: after so many failures in a row probes come ever later, up to a
// minute; one that passes closes it.
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

// TestBreakerAndOrder: an open breaker is probed as soon as what it comes after
// gets better.
func TestBreakerAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, db := &probe{}, &probe{err: errDown}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "dns", Run: dns.run, DegradeAfter: 1}, server.Check{Name: "db", Run: db.run, After: []string{"dns"}, BreakAfter: 2})
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
