package registry

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// A registration that changes nothing is refused while an indeterminate commit may
// have removed the instance.
func TestSameRegistrationWhileIndeterminate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		spec := r.register(fixed("pay/a"))
		d.set(errDisk, true, true) // commits are made, return an error, and cannot be read back
		wantError(t, r.deregister("pay/a", spec.Lease), domain.ErrStore)
		wantError(t, r.tryRegister(fixed("pay/a")), domain.ErrStore)
		d.set(nil, false, false)
		time.Sleep(5 * core.RetryStore)
		r.gone("pay/a")
	})
}

// An older version of a registration does not replace one that an indeterminate
// commit may have stored.
func TestOlderRegistrationWhileIndeterminate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.register(fixed("pay/a"))
		newer := fixed("pay/a")
		newer.Spec.Version = "2"
		d.set(errDisk, true, true)
		for _, reg := range []wire.Registration{newer, fixed("pay/a")} {
			wantError(t, r.tryRegister(reg), domain.ErrStore)
		}
		d.set(nil, false, false)
		time.Sleep(5 * core.RetryStore)
		if held, _ := d.holds(t, "pay/a"); held.Version != "2" || r.entry("pay/a").Spec.Version != "2" {
			t.Errorf("stored is version %q, published %q", held.Version, r.entry("pay/a").Spec.Version)
		}
	})
}

// Frequent readers of the history do not hide that the store works again.
func TestReadersAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		time.Sleep(10 * time.Millisecond)
		d.set(errDisk, false, false)
		wantError(t, r.tryRegister(fixed("pay/a")), domain.ErrStore)
		d.set(nil, false, false)
		for range 6 {
			_, _ = r.Transitions(t.Context(), store.Query{Limit: 1})
			time.Sleep(core.RetryStore / 2)
		}
		r.is("", health.Serving)
	})
}

// A status that was too old to be believed at one start is not believed at the next.
func TestTrustAcrossTwoRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.says("pay/a", r.register(fixed("pay/a")).Lease, health.Serving)
		for _, away := range []time.Duration{time.Hour, time.Second} {
			r.stop()
			time.Sleep(away)
			r = run(t, Config{Store: d})
			r.is("pay/a", health.Unknown)
		}
	})
}

// A reader that has seen a change finds it in the history.
func TestPublishedIsInTheHistory(t *testing.T) {
	r, err := New(t.Context(), Config{Store: newDisk(), Policy: health.MeshPolicy{FlapHalfLife: -1}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	specs, err := r.Register(ctx, []wire.Registration{leased("pay/a", "i")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		want := []health.Status{health.NotServing, health.Serving}[i%2]
		says := mesh.Event{ID: payA, Lease: specs[0].Lease, Kind: mesh.EventReport, Report: mesh.Report{Source: health.SourceMeshhealth, Status: want}}
		if err := r.Observe(ctx, says, time.Time{}); err != nil {
			t.Fatal(err)
		}
		for e, ok := r.Feed().Get(payA); !ok || e.Status != want; {
			runtime.Gosched()
			e, ok = r.Feed().Get(payA)
		}
		page, err := r.Transitions(ctx, store.Query{ID: payA, Limit: 1})
		if err != nil || len(page.Transitions) == 0 || page.Transitions[0].To != want {
			t.Fatalf("change %d is not in the history: %+v, %v", i, page, err)
		}
	}
}
