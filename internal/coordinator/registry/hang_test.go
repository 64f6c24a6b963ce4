package registry

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestHangingStore: the coordinator is DEGRADED while a commit does not end, and says
// since when. Statuses and renewals go on.
func TestHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		lease := r.register(leased("pay/a", "i")).Lease
		unblock := d.block()
		began := time.Now()
		wait := later(func() error { return r.tryRegister(leased("pay/b", "i")) })
		time.Sleep(SlowCommit)
		r.is("", health.Serving) // a slow store is no failure
		if age := r.CommitAge(); age != 0 {
			t.Errorf("after %v its age is %v", SlowCommit, age)
		}
		time.Sleep(core.MaxSleep)
		r.is("", health.Degraded)
		e := r.entry("")
		want := "store: a commit that began at " + began.UTC().Format(time.RFC3339) + " has not ended"
		if e.Cause != health.CauseFailed || e.Reason != want || r.Stats().StoreError != want {
			t.Errorf("%v %q, %q; want failed, %q", e.Cause, e.Reason, r.Stats().StoreError, want)
		}
		if age := r.CommitAge(); age != SlowCommit+core.MaxSleep {
			t.Errorf("its age is %v", age)
		}
		r.says("pay/a", lease, health.Serving)
		r.is("pay/a", health.Serving)
		time.Sleep(10 * time.Second)
		if _, _, err := r.Renew(t.Context(), payA, lease, wire.Registrant{}); err != nil {
			t.Error(err)
		}
		if again := r.entry(""); again.Revision != e.Revision {
			t.Errorf("it is published again: %+v", again.State)
		}
		unblock()
		succeeds(t, []error{wait()})
		r.is("", health.Serving)
		if r.CommitAge() != 0 || r.Stats().StoreError != "" {
			t.Errorf("after the end its age is %v, the error %q", r.CommitAge(), r.Stats().StoreError)
		}
		r.is("pay/b", health.Starting)
	})
}

// TestHangingStoreAtTheEnd: Run waits for a hanging store for StopWithin. Callers
// that wait get ErrStopping.
func TestHangingStoreAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r, err := New(t.Context(), Config{Store: d})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := later(func() error { return r.Run(ctx) })
		synctest.Wait()
		unblock := d.block()
		defer unblock() // or the bubble would never end
		wait := later(func() error { _, err := r.Register(t.Context(), []wire.Registration{leased("pay/a", "i")}); return err })
		time.Sleep(time.Second)
		stop()
		stopped := time.Now()
		wantError(t, ran(), ErrHangs)
		if took := time.Since(stopped); took != StopWithin {
			t.Errorf("it took %v, want %v", took, StopWithin)
		}
		wantError(t, wait(), domain.ErrStopping)
	})
}

// TestStoreThatHangsAndFails: the failure is published when the commit has ended.
func TestStoreThatHangsAndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		d.set(errDisk, false, false)
		unblock := d.block()
		wait := later(func() error { _, err := r.Register(t.Context(), []wire.Registration{leased("pay/a", "i")}); return err })
		time.Sleep(SlowCommit + 2*core.MaxSleep)
		r.is("", health.Degraded)
		if e := r.entry(""); !strings.Contains(e.Reason, "has not ended") {
			t.Errorf("%q", e.Reason)
		}
		unblock()
		wantError(t, wait(), domain.ErrStore)
		r.is("", health.Degraded)
		if e := r.entry(""); e.Reason != "store: "+errDisk.Error() {
			t.Errorf("%q", e.Reason)
		}
	})
}
