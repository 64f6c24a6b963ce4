package registry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/domain"
)

// TestUpdateThatWasNotMade: an update with the same lease and address that was not
// stored is not taken for stored.
func TestUpdateThatWasNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.register(fixed("pay/a"))
		newer := fixed("pay/a")
		newer.Spec.Version = "2"
		d.set(errDisk, false, false)
		wantError(t, r.tryRegister(newer), domain.ErrStore)
		if v := r.entry("pay/a").Spec.Version; v != "" {
			t.Errorf("published as version %q, which is not stored", v)
		}
		d.set(nil, false, false)
		r.register(newer)
		if held, _ := d.holds(t, "pay/a"); held.Version != "2" || r.entry("pay/a").Spec.Version != "2" {
			t.Errorf("stored %+v, published %+v", held, r.entry("pay/a").Spec)
		}
	})
}

// TestBatchesOfAnEarlierProcess tests that the last batch of an earlier process is not mistaken for
// a batch of this one, which was not made.
func TestBatchesOfAnEarlierProcess(t *testing.T) {
	for last := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			d := newDisk()
			if err := d.Memory.Commit(t.Context(), &store.Batch{ID: last}); err != nil {
				t.Fatal(err)
			}
			d.set(errDisk, false, false)
			r := run(t, Config{Store: d})
			wantError(t, r.tryRegister(fixed("pay/a")), domain.ErrStore)
			r.gone("pay/a")
		})
	}
}

// TestSameAgainNeedsNoStore: an equal registration succeeds while the store fails.
func TestSameAgainNeedsNoStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		spec := r.register(leased("pay/a", "i"))
		d.set(errDisk, false, true)
		r.says("pay/a", spec.Lease, health.Serving) // so that a record waits
		if again := r.register(leased("pay/a", "i")); again.Lease != spec.Lease {
			t.Errorf("lease %x, want %x", again.Lease, spec.Lease)
		}
	})
}

// TestHistoryOnce: the transitions of a commit that was made although it returned an
// error are not written again.
func TestHistoryOnce(t *testing.T) {
	for name, blind := range map[string]bool{"seen at once": false, "seen later": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { historyOnce(t, blind) })
		})
	}
}

func historyOnce(t *testing.T, blind bool) {
	d := newDisk()
	r := run(t, Config{Store: d})
	lease := r.register(leased("pay/a", "i")).Lease
	synctest.Wait()
	d.set(errDisk, true, blind)
	r.says("pay/a", lease, health.Serving)
	d.set(nil, false, false)
	time.Sleep(core.RetryStore)
	r.says("pay/a", lease, health.Degraded)
	page, err := r.Transitions(t.Context(), store.Query{ID: health.ParseID("pay/a"), Limit: 10})
	if err != nil || len(page.Transitions) != 2 {
		t.Errorf("history %+v, %v; want each of the 2 transitions once", page, err)
	}
}

// TestMemoryFollowsTheStore: a registration of an indeterminate commit was refused.
// It is in effect as soon as the store shows that it was made.
func TestMemoryFollowsTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		spec := r.register(fixed("pay/b"))
		d.set(errDisk, true, true)
		wantError(t, r.tryRegister(fixed("pay/a")), domain.ErrStore)
		r.gone("pay/a")
		wantError(t, r.deregister("pay/b", spec.Lease), domain.ErrStore)
		r.is("pay/b", health.Starting) // the second commit was not tried
		d.set(nil, false, false)
		time.Sleep(core.RetryStore)
		r.is("pay/a", health.Starting)
		r.is("", health.Serving)
	})
}

// TestRecoversWithNothingToWrite: it is noticed that the store works again although
// no record waits.
func TestRecoversWithNothingToWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		d.set(errDisk, false, false)
		wantError(t, r.tryRegister(fixed("pay/a")), domain.ErrStore)
		r.is("", health.Degraded)
		d.set(nil, false, false)
		time.Sleep(core.RetryStore)
		r.is("", health.Serving)
	})
}

// TestFailingStoreIsNotBusy: a failing store is tried once per RetryStore, and not
// for each transition.
func TestFailingStoreIsNotBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d, Policy: health.MeshPolicy{FlapHalfLife: -1}})
		lease := r.register(leased("pay/a", "i")).Lease
		d.set(errDisk, false, false)
		before := d.written()
		for i := range 100 {
			r.says("pay/a", lease, []health.Status{health.NotServing, health.Serving}[i%2])
			time.Sleep(core.RetryStore / 50)
		}
		if n := d.written() - before; n > 4 {
			t.Errorf("%d attempts in 2 s", n)
		}
	})
}
