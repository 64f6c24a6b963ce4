package registry

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestLimitOfInstances: registrations beyond the limit are refused as a whole.
// Registered instances may register again.
func TestLimitOfInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{Store: newDisk(), MaxInstances: 2})
		first := r.register(leased("pay/a", "i"))
		err := r.tryRegister(leased("pay/b", "i"), leased("pay/c", "i"))
		wantError(t, err, domain.ErrLimit)
		if want := "limit reached: 1 instances are registered; allowed: 2"; err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
		r.gone("pay/b")
		r.register(leased("pay/b", "i"))
		wantError(t, r.tryRegister(leased("pay/c", "i")), domain.ErrLimit)
		if again := r.register(leased("pay/a", "i")); again.Lease != first.Lease {
			t.Errorf("lease %x, then %x", first.Lease, again.Lease)
		}
		if took := r.register(leased("pay/a", "another")); took.Lease == first.Lease {
			t.Error("another process has the lease")
		}
		if err := r.deregister("pay/b", r.entry("pay/b").Spec.Lease); err != nil {
			t.Error(err)
		}
		r.register(leased("pay/c", "i"))
	})
}

// TestNewIncarnation: a new process gets the name at once. The old one is told, and
// late evidence about it is dropped.
func TestNewIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{Store: newDisk()})
		id := health.ParseID("pay/a")
		old := r.register(leased("pay/a", "old"))
		r.says("pay/a", old.Lease, health.Serving)
		young := r.register(leased("pay/a", "young"))
		r.is("pay/a", health.Starting)
		r.says("pay/a", old.Lease, health.NotServing)
		r.is("pay/a", health.Starting)
		_, _, err := r.Renew(t.Context(), id, old.Lease, wire.Registrant{})
		wantError(t, err, domain.ErrSuperseded)
		wantError(t, r.deregister("pay/a", old.Lease), domain.ErrSuperseded)
		if ttl, _, err := r.Renew(t.Context(), id, young.Lease, wire.Registrant{}); err != nil || ttl != 30*time.Second {
			t.Errorf("the new one renews for %v, %v", ttl, err)
		}
		_, _, err = r.Renew(t.Context(), health.ParseID("pay/nobody"), 1, wire.Registrant{})
		wantError(t, err, domain.ErrLeaseUnknown)
		wantError(t, r.deregister("pay/nobody", 1), domain.ErrNotFound)
		wantError(t, r.deregister("pay/a", 0), domain.ErrLeased)
	})
}

// TestManyProcessesOneName: of several registrations of a name in one commit the last
// one counts. Each is answered with its own lease.
func TestManyProcessesOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		unblock := d.block()
		wait := later(func() error { return r.tryRegister(leased("pay/z", "i")) })
		synctest.Wait()
		leases := map[uint64]bool{}
		got := make(chan uint64)
		for _, incarnation := range []string{"1", "2", "3"} {
			go func() {
				specs, err := r.Register(t.Context(), []wire.Registration{leased("pay/a", incarnation)})
				if err != nil {
					t.Error(err)
				}
				got <- specs[0].Lease
			}()
		}
		synctest.Wait()
		unblock()
		for range 3 {
			leases[<-got] = true
		}
		if err := wait(); err != nil {
			t.Error(err)
		}
		held, _ := d.holds(t, "pay/a")
		if len(leases) != 3 || !leases[held.Lease] || r.entry("pay/a").Spec.Lease != held.Lease {
			t.Errorf("leases %v, held %x, published %x", leases, held.Lease, r.entry("pay/a").Spec.Lease)
		}
	})
}

// TestRestart: stored registrations and overrides are restored. Statuses are believed
// if they are young enough.
func TestRestart(t *testing.T) {
	for what, c := range map[string]struct {
		down        time.Duration
		status      health.Status
		unconfirmed bool
	}{
		"young": {time.Minute, health.Degraded, true},
		"old":   {DefaultStoreTrust + 2*time.Minute, health.Unknown, true},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisk()
				r := run(t, Config{Store: d, Epoch: 1})
				lease := r.register(leased("pay/a", "i")).Lease
				r.says("pay/a", lease, health.Degraded)
				r.register(fixed("pay/b"))
				forced := &health.Override{Status: health.Maintenance, Author: "x", Reason: "y", SetAt: time.Now()}
				if err := r.SetOverride(t.Context(), health.ScopeOf(health.ParseID("pay/b")), forced); err != nil {
					t.Fatal(err)
				}
				r.stop()
				time.Sleep(c.down)

				r = run(t, Config{Store: d, Epoch: 2})
				r.is("pay/a", c.status)
				if e := r.entry("pay/a"); e.Unconfirmed != c.unconfirmed || e.Spec.Lease != lease || e.Spec.Incarnation != "i" {
					t.Errorf("%+v with %+v", e.State, e.Spec)
				}
				r.is("pay/b", health.Maintenance)
				if e := r.entry("pay/b"); e.Override == nil || e.Override.Author != "x" || e.Override.Reason != "y" {
					t.Errorf("override %+v", e.Override)
				}
				if _, _, err := r.Renew(t.Context(), health.ParseID("pay/a"), lease, wire.Registrant{}); err != nil {
					t.Errorf("the lease is lost: %v", err)
				}
				r.says("pay/a", lease, health.Serving)
				r.is("pay/a", health.Serving)
			})
		})
	}
}

// TestForcedStatusIsNotKept: the stored status of an instance is the one without its
// override.
func TestForcedStatusIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d, Epoch: 1})
		lease := r.register(leased("pay/a", "i")).Lease
		r.says("pay/a", lease, health.Degraded)
		id := health.ParseID("pay/a")
		if err := r.SetOverride(t.Context(), health.ScopeOf(id), &health.Override{Status: health.NotServing, Author: "x", Reason: "y", SetAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		r.is("pay/a", health.NotServing)
		r.stop()
		r = run(t, Config{Store: d, Epoch: 2})
		if err := r.ClearOverride(t.Context(), health.ScopeOf(id), "x", "z"); err != nil {
			t.Fatal(err)
		}
		r.is("pay/a", health.Degraded)
		if e := r.entry("pay/a"); e.Cause != health.CauseWarned || e.Reason != "" {
			t.Errorf("because %v %q", e.Cause, e.Reason)
		}
	})
}

// TestShutdown: the records and commands that wait are written. Later callers get
// ErrStopping.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		lease := r.register(leased("pay/a", "i")).Lease
		unblock := d.block()
		r.says("pay/a", lease, health.Serving)
		wait := later(func() error { return r.tryRegister(leased("pay/b", "i")) })
		synctest.Wait()
		stopped := later(func() error { r.stop(); return nil })
		synctest.Wait()
		unblock()
		_ = stopped()
		if err := wait(); err != nil {
			t.Errorf("it was written, and is told %v", err)
		}
		if _, ok := d.holds(t, "pay/b"); !ok {
			t.Error("it was acknowledged, and is not stored")
		}
		s, err := d.Load(t.Context())
		if err != nil || len(s.Statuses) == 0 || s.Statuses[0].Status != health.Serving {
			t.Errorf("statuses %+v, %v", s.Statuses, err)
		}
		wantError(t, r.tryRegister(leased("pay/c", "i")), domain.ErrStopping)
		_, _, err = r.Renew(t.Context(), health.ParseID("pay/a"), lease, wire.Registrant{})
		wantError(t, err, domain.ErrStopping)
	})
}

// TestCallersMayGiveUp: a caller whose context ends gets its error. The registration
// goes on.
func TestCallersMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		unblock := d.block()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Register(ctx, []wire.Registration{leased("pay/a", "i")})
		wantError(t, err, context.DeadlineExceeded)
		unblock()
		r.is("pay/a", health.Starting)
	})
}
