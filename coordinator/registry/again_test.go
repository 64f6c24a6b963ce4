package registry

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// What was already so is not confirmed while nobody knows whether the last commit
// has changed it.
func TestTheSameAgainInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		spec := r.register(fixed("pay/a"))
		d.set(errDisk, true, true) // what fails is made, and nobody can tell
		wantError(t, r.Deregister(t.Context(), payA, spec.Lease), wire.ErrStore)
		_, err := r.Register(t.Context(), []wire.Registration{fixed("pay/a")})
		wantError(t, err, wire.ErrStore)
		d.set(nil, false, false)
		time.Sleep(5 * retryStore)
		r.gone("pay/a")
	})
}

// Nor does what is older than the last commit come back through it.
func TestAnOlderOneAgainInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.register(fixed("pay/a"))
		newer := fixed("pay/a")
		newer.Spec.Version = "2"
		d.set(errDisk, true, true)
		for _, reg := range []wire.Registration{newer, fixed("pay/a")} {
			_, err := r.Register(t.Context(), []wire.Registration{reg})
			wantError(t, err, wire.ErrStore)
		}
		d.set(nil, false, false)
		time.Sleep(5 * retryStore)
		if held, _ := d.holds(t, "pay/a"); held.Version != "2" || r.entry("pay/a").Spec.Version != "2" {
			t.Errorf("stored is version %q, published %q", held.Version, r.entry("pay/a").Spec.Version)
		}
	})
}

// Whoever reads the history all the time does not hide that the store has
// recovered.
func TestReadersAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		time.Sleep(10 * time.Millisecond)
		d.set(errDisk, false, false)
		_, err := r.Register(t.Context(), []wire.Registration{fixed("pay/a")})
		wantError(t, err, wire.ErrStore)
		d.set(nil, false, false)
		for range 6 {
			_, _ = r.Transitions(t.Context(), store.Query{Limit: 1})
			time.Sleep(retryStore / 2)
		}
		r.is("", health.Serving)
	})
}

// What was too old to be believed at one start is not younger at the next.
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

// Who has seen a change finds it in the history.
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
		says := health.Event{ID: payA, Lease: specs[0].Lease, Kind: health.EventReport, Report: health.Report{Source: health.SourceMeshhealth, Status: want}}
		if err := r.Observe(ctx, says, time.Time{}); err != nil {
			t.Fatal(err)
		}
		for e, ok := r.Feed().Get(payA); !ok || e.Status != want; {
			e, ok = r.Feed().Get(payA)
		}
		page, err := r.Transitions(ctx, store.Query{ID: payA, Limit: 1})
		if err != nil || len(page.Transitions) == 0 || page.Transitions[0].To != want {
			t.Fatalf("change %d is not in the history: %+v, %v", i, page, err)
		}
	}
}
