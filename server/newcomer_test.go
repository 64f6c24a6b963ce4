package server_test

import (
	"testing"
	"testing/synctest"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/server"
)

// TestNewcomerOfEachName: a new check makes no name unroutable before its first run,
// whatever the other names are.
func TestNewcomerOfEachName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{Services: []server.Service{
			{Name: "orders", Tags: []string{"orders"}}, {Name: "mail", Tags: []string{"mail"}},
		}})
		mail, fresh := &probe{err: errDown}, &probe{within: honouring(time.Second)}
		add(t, s, server.Check{Name: "db", Run: pass, Tags: []string{"orders"}},
			server.Check{Name: "smtp", Run: mail.run, Tags: []string{"mail"}})
		start(t, s)
		c := newSide(t, s, s.Register, []string{"orders"})
		is := func(when string, want map[string]string) {
			t.Helper()
			synctest.Wait()
			for name, status := range want {
				if got := c.check(t, name); got != status {
					t.Errorf("%s: %q is %s, want %s", when, name, got, status)
				}
			}
		}
		is("before", map[string]string{"orders": "SERVING", "mail": "NOT_SERVING", service: "NOT_SERVING", "": "NOT_SERVING"})
		add(t, s, server.Check{Name: "queue", Run: fresh.run, Tags: []string{"orders", "mail"}})
		is("added", map[string]string{"orders": "SERVING", "mail": "NOT_SERVING", service: "NOT_SERVING", "": "NOT_SERVING"})
		if s := states(t, s)["orders"]; s != "SERVING" {
			t.Errorf("orders is %s", s)
		}
		mail.set(nil)
		time.Sleep(time.Minute)
		is("well", map[string]string{"orders": "SERVING", "mail": "SERVING", service: "SERVING"})
		if n := c.sent["orders"]; n != 1 || c.watched("orders") != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%d messages about orders, want the first only", n)
		}
		fresh.set(errDown)
		time.Sleep(time.Minute)
		is("failed", map[string]string{"orders": "NOT_SERVING", "mail": "NOT_SERVING"})
		s.Remove("queue")
		is("removed", map[string]string{"orders": "SERVING", "mail": "SERVING", service: "SERVING"})
	})
}

// TestNewcomerOfTheEmptyName: the same holds if only "" is routable, because it was set
// separately.
func TestNewcomerOfTheEmptyName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		c := newSide(t, s, s.Register, nil)
		start(t, s)
		s.SetServingStatus(service, down)
		s.SetServingStatus("", up)
		add(t, s, server.Check{Name: "db", Run: pass, InitialDelay: time.Minute})
		synctest.Wait()
		if a, b := c.check(t, ""), c.check(t, service); a != "SERVING" || b != "NOT_SERVING" {
			t.Errorf("the empty name is %s, the service %s", a, b)
		}
	})
}

// TestNewcomerHoldsBackWhatWasDown: a name that was not routable waits for the first run
// of the check.
func TestNewcomerHoldsBackWhatWasDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{Services: []server.Service{{Name: "orders", Tags: []string{"orders"}}}})
		db := &probe{err: errDown}
		add(t, s, server.Check{Name: "db", Run: db.run, Tags: []string{"orders"}, OnFail: server.Fail})
		start(t, s)
		add(t, s, server.Check{Name: "queue", Run: pass, Tags: []string{"orders"}, InitialDelay: time.Hour})
		db.set(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := states(t, s)["orders"]; got != "STARTING" {
			t.Errorf("orders is %s, want STARTING until queue has run", got)
		}
	})
}

// states returns the published status of each name.
func states(t *testing.T, s *server.Server) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, state := range s.Statuses() {
		all[state.ID.Service] = state.Status.String()
	}
	return all
}
