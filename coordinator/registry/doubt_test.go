package registry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestUpdateThatWasNotMade: an entry that only changes what it says of itself
// keeps its lease and its address, and is not taken for stored by those.
func TestUpdateThatWasNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.register(fixed("pay/a"))
		newer := fixed("pay/a")
		newer.Spec.Version = "2"
		d.set(errDisk, false, false)
		_, err := r.Register(t.Context(), []wire.Registration{newer})
		wantError(t, err, wire.ErrStore)
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

// TestSameAgainNeedsNoStore: who registers as it is registered wants nothing
// new of a store that fails.
func TestSameAgainNeedsNoStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		spec := r.register(leased("pay/a", "i"))
		d.set(errDisk, false, true)
		r.says("pay/a", spec.Lease, health.Serving) // so that something waits
		if again := r.register(leased("pay/a", "i")); again.Lease != spec.Lease {
			t.Errorf("lease %x, want %x", again.Lease, spec.Lease)
		}
	})
}

// TestHistoryOnce: transitions of a commit that was made although it failed are
// not written again, whether that is seen at once or only later.
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
	time.Sleep(retryStore)
	r.says("pay/a", lease, health.Degraded)
	page, err := r.Transitions(t.Context(), store.Query{ID: health.ParseID("pay/a"), Limit: 10})
	if err != nil || len(page.Transitions) != 2 {
		t.Errorf("history %+v, %v; want each of the 2 transitions once", page, err)
	}
}

// TestMemoryFollowsTheStore: what was refused because nobody knew whether it is
// stored is ours as soon as the store says that it is.
func TestMemoryFollowsTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		spec := r.register(fixed("pay/b"))
		d.set(errDisk, true, true)
		_, err := r.Register(t.Context(), []wire.Registration{fixed("pay/a")})
		wantError(t, err, wire.ErrStore)
		r.gone("pay/a")
		wantError(t, r.Deregister(t.Context(), health.ParseID("pay/b"), spec.Lease), wire.ErrStore)
		r.is("pay/b", health.Starting) // that one was not even tried
		d.set(nil, false, false)
		time.Sleep(retryStore)
		r.is("pay/a", health.Starting)
		r.is("", health.Serving)
	})
}

// TestRecoversWithNothingToWrite: a store that takes records again is noticed
// though none waits.
func TestRecoversWithNothingToWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		d.set(errDisk, false, false)
		_, err := r.Register(t.Context(), []wire.Registration{fixed("pay/a")})
		wantError(t, err, wire.ErrStore)
		r.is("", health.Degraded)
		d.set(nil, false, false)
		time.Sleep(retryStore)
		r.is("", health.Serving)
	})
}

// TestFailingStoreIsNotBusy: history that waits for a store that fails is tried
// once in a while, not with each flip.
func TestFailingStoreIsNotBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d, Policy: health.MeshPolicy{FlapHalfLife: -1}})
		lease := r.register(leased("pay/a", "i")).Lease
		d.set(errDisk, false, false)
		before := d.written()
		for i := range 100 {
			r.says("pay/a", lease, []health.Status{health.NotServing, health.Serving}[i%2])
			time.Sleep(retryStore / 50)
		}
		if n := d.written() - before; n > 4 {
			t.Errorf("%d attempts in 2 s", n)
		}
	})
}
