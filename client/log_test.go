package client

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/logs/logtest"
)

// clientOf returns a client that logs to l.
func (w *world) clientOf(l *slog.Logger) *Client {
	w.t.Helper()
	c, err := New(Config{
		Coordinator: "passthrough:///coordinator", Insecure: true, Logger: l,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(w.dial)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestEndsAreLogged checks that an end that the caller has not caused is logged, with a
// Logger and without one.
func TestEndsAreLogged(t *testing.T) {
	for name, end := range map[string]struct {
		instance Instance
		fails    error
		then     func(*testing.T, *world)
		says     string
	}{
		"invalid": {
			instance: Instance{Service: "payments", Instance: "a", Address: "nowhere"},
			says:     `Address: \"nowhere\" is not an address; allowed: host:port or :port`,
		},
		"refused":     {instance: instance(), fails: status.Error(codes.InvalidArgument, "zone: is gone"), says: "zone: is gone"},
		"superseded":  {instance: instance(), then: func(t *testing.T, w *world) { mustRegister(t, w.client(), instance()) }, says: ErrSuperseded.Error()},
		"no instance": {instance: Instance{Service: "a/b"}, says: "Service: has '/' in it"},
	} {
		for _, given := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var out logtest.Record
					logger := out.Logger()
					if !given {
						out.AsDefault(t)
						logger = nil
					}
					w := newWorld(t)
					w.up()
					if end.fails != nil {
						w.registry.set(failing(end.fails))
					}
					r := w.clientOf(logger).RegisterAsync(end.instance)
					synctest.Wait()
					if end.then != nil {
						end.then(t, w)
					}
					<-r.Done()
					out.Want(t, "ERROR", "the registration has ended", "name="+end.instance.id().String(), end.says)
				})
			})
		}
	}
}

// TestOrderlyEndsAreNotLogged covers the ends by Close of both types, and by the context of
// Register.
func TestOrderlyEndsAreNotLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logtest.Record
		w := newWorld(t)
		w.up()
		c := w.clientOf(out.Logger())
		first, second := mustRegister(t, c, instance()), mustRegister(t, c, Instance{Service: "orders", Address: ":80"})
		w.registry.set(blocking("Register"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Register(ctx, Instance{Service: "late", Address: ":80"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Register: %v, want the deadline", err)
		}
		if err := first.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-second.Done()
		if lines := out.Lines("ERROR"); len(lines) > 0 {
			t.Errorf("logged: %q", lines)
		}
	})
}

// TestLimitIsLoggedAtOnce checks that a temporary refusal is logged after the first attempt,
// and once for each reason.
func TestLimitIsLoggedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logtest.Record
		out.AsDefault(t)
		w := newWorld(t)
		w.up()
		w.registry.set(failing(domain.ErrLimit))
		r := w.clientOf(nil).RegisterAsync(instance())
		synctest.Wait()
		out.Want(t, "WARN", "cannot register; trying again", "name=payments/a:1", ErrLimit.Error())
		settle(time.Minute)
		out.Want(t, "WARN", "cannot register")
		w.registry.set(failing(domain.ErrStore))
		settle(time.Minute)
		if lines := out.Lines("WARN"); len(lines) != 2 || !strings.Contains(lines[1], ErrStore.Error()) {
			t.Errorf("another reason is not logged: %q", lines)
		}
		w.registry.set(nil)
		<-r.Registered()
	})
}

// TestRefusedRenewals: an instance whose identity may not renew its lease says once what to do, and asks as often as with
// an accepted lease. When the coordinator has removed it, it registers again.
func TestRefusedRenewals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logtest.Record
		out.AsDefault(t)
		w := newWorld(t)
		w.up()
		r := mustRegister(t, w.clientOf(nil), instance())
		w.registry.set(failing(domain.ErrNotAllowed, "Renew"))
		settle(10 * time.Minute)
		wantCount(t, "renewals in 10 min", w.registry.came("Renew"), 60, 75)
		out.Want(t, "WARN", "the coordinator refuses to renew the lease; use the identity that has registered the instance", "name=payments/a:1", ErrNotAllowed.Error())
		w.registry.set(nil)
		w.registry.do(func() { clear(w.registry.leases) })
		settle(11 * time.Second)
		wantCount(t, "registrations", w.registry.came("Register"), 2, 2)
		wantEqual(t, "state", r.State(), StateRegistered)
	})
}

// TestRefusedReportsAreLogged checks the log of an instance that cannot be reached, and whose
// reports are refused.
func TestRefusedReportsAreLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logtest.Record
		out.AsDefault(t)
		w := newWorld(t)
		w.registry.set(failing(domain.ErrNotAllowed, "Report"))
		reporting(t, w)
		settle(5 * time.Minute)
		lines := out.Lines("WARN")
		if len(lines) != 2 || !strings.Contains(lines[0], "cannot reach the instance; reporting to it") || strings.Contains(lines[0], "error") ||
			!strings.Contains(lines[1], "the coordinator refuses reports") || !strings.Contains(lines[1], ErrNotAllowed.Error()) {
			t.Errorf("logged: %q", lines)
		}
	})
}

// TestBlockedLogHoldsNoRegistrationUp checks that a log that blocks does not stop renewals.
func TestBlockedLogHoldsNoRegistrationUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		out := logtest.Record{Blocked: make(chan struct{})}
		w := newWorld(t)
		w.up()
		c := w.clientOf(out.Logger())
		r := mustRegister(t, c, instance())
		for range 100 {
			w.registry.do(func() { clear(w.registry.leases) })
			settle(time.Minute)
			wantEqual(t, "leases", w.registry.held(), 1)
		}
		wantEqual(t, "state", r.State(), StateRegistered)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		close(out.Blocked)
	})
}

// TestInstanceNamesItself checks the default name, HOSTNAME:PORT.
func TestInstanceNamesItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		host, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.up()
		mustRegister(t, w.client(), Instance{Service: "payments", Address: "[::]:8080"})
		w.registry.do(func() {
			for _, reg := range w.registry.leases {
				wantEqual(t, "instance", reg.GetInstance(), host+":8080")
			}
		})
	})
}
