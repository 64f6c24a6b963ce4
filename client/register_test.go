package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/domain"
)

func TestRegisterIsAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		r := mustRegister(t, w.client(), instance())
		select {
		case <-r.Registered():
		default:
			t.Error("Registered is open")
		}
		wantEqual(t, "state", r.State(), StateRegistered)
		wantEqual(t, "leases", w.registry.held(), 1)
		if r.Err() != nil {
			t.Errorf("Err: %v", r.Err())
		}
	})
}

func TestRegisterWaitsForTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		w.registry.set(blocking("Register"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err := w.client().Register(ctx, instance())
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Register: %v, want the deadline", err)
		}
		wantEqual(t, "waited", time.Since(began), 5*time.Second)
	})
}

func TestRegisterWaitsForTheCoordinator(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.client()
		time.AfterFunc(20*time.Second, w.up)
		r := mustRegister(t, c, instance())
		wantEqual(t, "state", r.State(), StateRegistered)
	})
}

func TestRegisterSaysWhatFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		w.registry.set(failing(domain.ErrStore))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := w.client().Register(ctx, instance())
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrStore) {
			t.Errorf("Register: %v, want the deadline and the store", err)
		}
	})
}

func TestRegisterIsRefused(t *testing.T) {
	for _, code := range []codes.Code{codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented} {
		t.Run(code.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.up()
				w.registry.set(failing(status.Error(code, "no")))
				_, err := w.client().Register(t.Context(), instance())
				wantEqual(t, "code", status.Code(err), code)
				wantCount(t, "attempts", w.registry.came("Register"), 1, 1)
			})
		})
	}
}

func TestRegisterAfterClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newWorld(t).client()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Register(t.Context(), instance()); !errors.Is(err, ErrClosed) {
			t.Errorf("Register: %v, want ErrClosed", err)
		}
		r := c.RegisterAsync(instance())
		<-r.Done()
		if !errors.Is(r.Err(), ErrClosed) {
			t.Errorf("RegisterAsync: %v, want ErrClosed", r.Err())
		}
	})
}

func TestRegisterAsyncWithoutACoordinator(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.client().RegisterAsync(instance())
		settle(time.Hour)
		wantEqual(t, "state", r.State(), StateRegistering)
		w.up()
		select {
		case <-r.Registered():
		case <-time.After(15 * time.Second):
			t.Fatal("not registered within 15 s of the coordinator's start")
		}
	})
}

func TestRegisterAsyncSurvivesRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		w.registry.set(failing(status.Error(codes.PermissionDenied, "not yet")))
		r := w.client().RegisterAsync(instance())
		settle(time.Hour)
		wantEqual(t, "state", r.State(), StateRegistering)
		wantCount(t, "attempts in an hour", w.registry.came("Register"), 360, 1000)
		w.registry.set(nil)
		<-r.Registered()
	})
}

func TestRegisterAsyncEndsIfUnacceptable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		w.registry.set(failing(status.Error(codes.InvalidArgument, "no such zone")))
		r := w.client().RegisterAsync(instance())
		<-r.Done()
		wantEqual(t, "code", status.Code(r.Err()), codes.InvalidArgument)
		wantEqual(t, "state", r.State(), StateEnded)
	})
}

func TestRegisterAsyncReportsABadInstance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newWorld(t).client().RegisterAsync(Instance{})
		<-r.Done()
		if r.Err() == nil {
			t.Error("Err is nil")
		}
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestRenewals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		mustRegister(t, w.client(), instance())
		settle(10 * time.Minute)
		renewals := w.registry.came("Renew")
		wantCount(t, "renewals in 10 min", renewals, 60, 75)
		different := false
		for i, c := range renewals[1:] {
			gap := c.at.Sub(renewals[i].at)
			if gap > 10*time.Second || gap < 8*time.Second {
				t.Errorf("renewal %d came after %v, want 8 s to 10 s", i+1, gap)
			}
			different = different || gap != renewals[1].at.Sub(renewals[0].at)
		}
		if !different {
			t.Error("renewals do not jitter")
		}
	})
}

func TestRenewalsFollowTheLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.ttl = 3 * time.Second
		w.up()
		mustRegister(t, w.client(), instance())
		settle(time.Minute)
		wantCount(t, "renewals in 1 min", w.registry.came("Renew"), 60, 75)
		w.registry.do(func() { w.registry.ttl = time.Nanosecond })
		settle(time.Minute)
		wantCount(t, "renewals in 2 min, the second with a senseless lease", w.registry.came("Renew"), 120, 150)
	})
}

func TestRenewalsSurviveEverything(t *testing.T) {
	for name, script := range map[string]func(context.Context, string) error{
		"unavailable": failing(unavailable, "Renew"),
		"store":       failing(domain.ErrStore, "Renew"),
		"denied":      failing(status.Error(codes.PermissionDenied, "no"), "Renew"),
		"internal":    failing(status.Error(codes.Internal, "oops"), "Renew"),
		"told 50 s":   failing(told(t, codes.Unavailable, 50*time.Second), "Renew"),
		"not ours":    failing(status.Error(codes.NotFound, "what?"), "Renew"),
		"blocked":     blocking("Renew"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.up()
				r := mustRegister(t, w.client(), instance())
				w.registry.set(script)
				settle(10 * time.Minute)
				wantEqual(t, "state", r.State(), StateRegistered)
				wantCount(t, "attempts in 10 min", w.registry.came("Renew"), 40, 500)
				w.registry.set(nil)
				settle(10 * time.Second)
				before := len(w.registry.came("Renew"))
				settle(time.Minute)
				wantCount(t, "renewals afterwards", w.registry.came("Renew")[before:], 6, 8)
				wantCount(t, "registrations", w.registry.came("Register"), 1, 1)
			})
		})
	}
}

// The coordinator keeps the status of an instance that it cannot reach for half of the lease.
// One lost answer must not take this time.
func TestRenewalThatWasLostIsRepeatedInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		mustRegister(t, w.client(), instance())
		w.registry.set(func(ctx context.Context, method string) error {
			if method == "Renew" && len(w.registry.came("Renew"))%2 == 1 {
				<-ctx.Done()
			}
			return nil
		})
		settle(time.Minute)
		var answered time.Time
		for i, c := range w.registry.came("Renew") {
			if i%2 == 0 {
				continue
			}
			if gap := c.at.Sub(answered); !answered.IsZero() && gap >= 15*time.Second {
				t.Errorf("renewed after %v, want below half a lease", gap)
			}
			answered = c.at
		}
		wantCount(t, "renewals", w.registry.came("Renew"), 8, 14)
	})
}

func TestForgottenLeaseIsRegisteredAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		r := mustRegister(t, w.client(), instance())
		w.registry.do(func() { clear(w.registry.leases) })
		settle(11 * time.Second)
		registers := w.registry.came("Register")
		wantCount(t, "registrations", registers, 2, 2)
		wantEqual(t, "incarnation", registers[1].incarnation, registers[0].incarnation)
		wantEqual(t, "state", r.State(), StateRegistered)
		settle(11 * time.Second)
		renewals := w.registry.came("Renew")
		wantEqual(t, "lease", renewals[len(renewals)-1].lease, "lease-2")
	})
}

func TestRestartOfTheCoordinator(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		r := mustRegister(t, w.client(), instance())
		w.down()
		w.registry.do(func() { clear(w.registry.leases) })
		settle(time.Hour)
		wantEqual(t, "state while it is away", r.State(), StateRegistered)
		// After a restart, the coordinator may refuse an instance that it has accepted before.
		w.registry.set(failing(status.Error(codes.InvalidArgument, "not set up yet"), "Register"))
		w.up()
		settle(time.Minute)
		wantEqual(t, "state while it is forgotten", r.State(), StateRegistering)
		w.registry.set(nil)
		settle(15 * time.Second)
		wantEqual(t, "leases", w.registry.held(), 1)
		wantEqual(t, "state", r.State(), StateRegistered)
	})
}

func TestSuperseded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		old := mustRegister(t, w.client(), instance())
		mustRegister(t, w.client(), instance())
		select {
		case <-old.Done():
		case <-time.After(10 * time.Second):
			t.Fatal("not noticed within a third of the lease")
		}
		if !errors.Is(old.Err(), ErrSuperseded) {
			t.Errorf("Err: %v, want ErrSuperseded", old.Err())
		}
		wantEqual(t, "state", old.State(), StateEnded)
		settle(time.Minute)
		wantCount(t, "registrations", w.registry.came("Register"), 2, 2)
		if err := old.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		wantCount(t, "deregistrations", w.registry.came("Deregister"), 0, 0)
		if !errors.Is(old.Err(), ErrSuperseded) {
			t.Errorf("Err after Close: %v, want ErrSuperseded", old.Err())
		}
	})
}

func TestCloseDeregisters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		r := mustRegister(t, w.client(), instance())
		for range 2 {
			if err := r.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		<-r.Done()
		if r.Err() != nil {
			t.Errorf("Err: %v", r.Err())
		}
		wantEqual(t, "leases", w.registry.held(), 0)
		settle(time.Minute)
		wantCount(t, "deregistrations", w.registry.came("Deregister"), 1, 1)
		wantCount(t, "renewals", w.registry.came("Renew"), 0, 0)
	})
}

func TestCloseIsBounded(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(context.Context, string) error
		within time.Duration
	}{
		{"deregistering blocks", blocking("Deregister"), closeTimeout},
		{"coordinator away", failing(unavailable), 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.up()
				r := mustRegister(t, w.client(), instance())
				w.registry.set(c.script)
				began := time.Now()
				if r.Close(t.Context()) == nil {
					t.Error("Close: nil, though nobody was told")
				}
				if took := time.Since(began); took > c.within {
					t.Errorf("Close took %v, want at most %v", took, c.within)
				}
			})
		})
	}
}

func TestCloseWaitsForARegistrationUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		release := make(chan struct{})
		w.registry.set(func(_ context.Context, method string) error {
			if method == "Register" {
				<-release
			}
			return nil
		})
		r := w.client().RegisterAsync(instance())
		synctest.Wait()
		time.AfterFunc(3*time.Second, func() { close(release) })
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		wantCount(t, "deregistrations", w.registry.came("Deregister"), 1, 1)
		wantEqual(t, "leases", w.registry.held(), 0)
	})
}

func TestCloseOfWhatIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		r := mustRegister(t, w.client(), instance())
		w.registry.do(func() { clear(w.registry.leases) })
		w.registry.set(failing(unavailable, "Register"))
		settle(time.Minute)
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		wantCount(t, "deregistrations", w.registry.came("Deregister"), 0, 0)
	})
}

func TestCloseGivesUpOnARegistrationUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		w.registry.set(blocking("Register"))
		r := w.client().RegisterAsync(instance())
		settle(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := r.Close(ctx); err != nil {
			t.Errorf("Close: %v, though nothing was registered", err)
		}
		wantEqual(t, "took", time.Since(began), time.Second)
	})
}

func TestClientCloseEndsRegistrations(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		c := w.client()
		r := mustRegister(t, c, instance())
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		<-r.Done()
		if !errors.Is(r.Err(), ErrClosed) {
			t.Errorf("Err: %v, want ErrClosed", r.Err())
		}
		wantEqual(t, "leases", w.registry.held(), 1)
	})
}

func TestDeadConnectionIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		mustRegister(t, w.client(), instance())
		w.kill()
		settle(40 * time.Second)
		wantEqual(t, "connections", w.dials(), 2)
		before := len(w.registry.came("Renew"))
		settle(time.Minute)
		wantCount(t, "renewals on the new connection", w.registry.came("Renew")[before:], 6, 8)
		wantEqual(t, "connections", w.dials(), 2)
	})
}
