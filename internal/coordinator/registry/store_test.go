package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/domain"
)

// TestSlowStoreDelaysNoStatus: changes reach watchers at once while the store blocks
// for ten seconds. A registration waits, and is then answered.
func TestSlowStoreDelaysNoStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		lease := r.register(leased("pay/a", "i")).Lease
		r.says("pay/a", lease, health.Serving)
		unblock := d.block()
		began := time.Now()
		wait := later(func() error { return r.tryRegister(leased("pay/b", "i")) })
		synctest.Wait()

		reader := r.Feed().NewReader(feed.Interest{Services: []string{"pay"}})
		if _, err := reader.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range []health.Status{health.NotServing, health.Degraded, health.Serving} {
			r.says("pay/a", lease, s)
			step, err := reader.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if entries := slices.Collect(step.Entries); len(entries) == 0 || entries[0].Status != s {
				t.Errorf("%v: %+v", s, step)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the flips took %v", took)
		}
		r.gone("pay/b")

		time.AfterFunc(10*time.Second, unblock)
		if err := wait(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the registration took %v, want 10 s", took)
		}
		r.is("pay/b", health.Starting)
		r.is("", health.Serving) // a slow store is no failure
	})
}

// TestFailingStore: while the store fails statuses go on, commands are refused with
// the reason, and the coordinator is DEGRADED. It recovers by itself.
func TestFailingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		lease := r.register(leased("pay/a", "i")).Lease
		d.set(errDisk, false, false)
		err := r.tryRegister(leased("pay/b", "i"))
		wantError(t, err, domain.ErrStore)
		if err == nil || !strings.Contains(err.Error(), errDisk.Error()) {
			t.Errorf("%v does not say why", err)
		}
		r.gone("pay/b")
		wantError(t, r.SetOverride(t.Context(), health.ScopeOf(health.ParseID("pay/a")), &health.Override{Status: health.Maintenance}), domain.ErrStore)
		wantError(t, r.deregister("pay/a", lease), domain.ErrStore)
		r.is("", health.Degraded)
		if e := r.entry(""); e.Reason != "store: "+errDisk.Error() {
			t.Errorf("reason %q", e.Reason)
		}
		r.says("pay/a", lease, health.Serving)
		r.is("pay/a", health.Serving)

		d.set(nil, false, false)
		time.Sleep(core.RetryStore)
		r.is("", health.Serving)
		r.register(leased("pay/b", "i"))
		page, err := r.Transitions(t.Context(), store.Query{ID: health.ParseID("pay/a"), Limit: 10})
		if err != nil || len(page.Transitions) != 1 || page.Transitions[0].To != health.Serving {
			t.Errorf("history %+v, %v; want the transition made meanwhile", page, err)
		}
	})
}

// TestBlindStore: the commands of an indeterminate commit are refused. The same
// registration succeeds later.
func TestBlindStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		d.set(errDisk, true, true)
		wantError(t, r.tryRegister(leased("pay/a", "i")), domain.ErrStore)
		r.gone("pay/a")
		d.set(nil, false, false)
		spec := r.register(leased("pay/a", "i"))
		if held, ok := d.holds(t, "pay/a"); !ok || held.Lease != spec.Lease {
			t.Errorf("held %+v, want lease %x", held, spec.Lease)
		}
	})
}

// TestUnsureCommit: a commit that returns an error and was made is read back, and its
// commands succeed.
func TestUnsureCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		d.set(errDisk, true, false)
		spec := r.register(leased("pay/a", "i"))
		if held, ok := d.holds(t, "pay/a"); !ok || held.Lease != spec.Lease {
			t.Errorf("held %+v, want lease %x", held, spec.Lease)
		}
		r.is("pay/a", health.Starting)
		id := health.ParseID("pay/a")
		if err := r.SetOverride(t.Context(), health.ScopeOf(id), &health.Override{Status: health.Maintenance, Author: "x", Reason: "y", SetAt: time.Now()}); err != nil {
			t.Error(err)
		}
		r.is("pay/a", health.Maintenance)
		if err := r.deregister(id.String(), spec.Lease); err != nil {
			t.Error(err)
		}
		r.gone("pay/a")
	})
}

// TestOverrideThatWasNotReplaced: an override that could not be stored does not
// replace the stored one.
func TestOverrideThatWasNotReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.register(fixed("pay/a"))
		id := health.ParseID("pay/a")
		if err := r.SetOverride(t.Context(), health.ScopeOf(id), &health.Override{Status: health.Maintenance, Author: "x", Reason: "y", SetAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		d.set(errDisk, false, false)
		time.Sleep(time.Second)
		err := r.SetOverride(t.Context(), health.ScopeOf(id), &health.Override{Status: health.Serving, Author: "x", Reason: "z", SetAt: time.Now()})
		wantError(t, err, domain.ErrStore)
		r.is("pay/a", health.Maintenance)
	})
}

// TestRemovalIsTriedAgain: an instance that was removed while the store failed is
// removed from the store later.
func TestRemovalIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d, Policy: health.MeshPolicy{DeregisterAfter: time.Minute}})
		r.register(leased("pay/a", "i"))
		time.Sleep(80 * time.Second)
		d.set(errDisk, false, false)
		time.Sleep(20 * time.Second)
		r.gone("pay/a")
		if r.tryRegister(leased("pay/b", "i")) == nil {
			t.Error("registered without a store")
		}
		if _, ok := d.holds(t, "pay/a"); !ok {
			t.Fatal("it was removed although the store fails")
		}
		d.set(nil, false, false)
		time.Sleep(2 * core.RetryStore)
		synctest.Wait()
		if _, ok := d.holds(t, "pay/a"); ok {
			t.Error("it is still stored")
		}
	})
}

// TestQueueIsBounded: the transitions that wait for the store are bounded in bytes.
// The oldest are dropped, and a gap record counts them. The last status of each
// instance is kept.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 16 << 10
		d := newDisk()
		r := run(t, Config{Store: d, QueueBytes: most, Policy: health.MeshPolicy{FlapHalfLife: -1}})
		lease := r.register(leased("pay/a", "i")).Lease
		r.says("pay/a", lease, health.Serving)
		before, err := r.Transitions(t.Context(), store.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		unblock := d.block()
		const flips = 1000
		for i := range flips {
			r.says("pay/a", lease, []health.Status{health.NotServing, health.Serving}[i%2])
		}
		r.says("pay/a", lease, health.Degraded)
		waiting, lost := r.Queue()
		if waiting == 0 || waiting > most/160 || lost < flips {
			t.Errorf("%d wait, %d are lost", waiting, lost)
		}
		wait := later(func() error { return r.tryRegister(leased("pay/b", "i")) })
		synctest.Wait()
		unblock()
		if err := wait(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		after, err := r.Transitions(t.Context(), store.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var gaps uint64
		for _, tr := range after.Transitions {
			gaps += tr.Lost
		}
		if gaps != lost || len(after.Transitions) > len(before.Transitions)+waiting+5 {
			t.Errorf("%d transitions, gaps of %d; want gaps of %d", len(after.Transitions), gaps, lost)
		}
		s, err := d.Load(t.Context())
		if err != nil || len(s.Statuses) != 2 {
			t.Fatalf("%+v, %v", s, err)
		}
		for _, st := range s.Statuses {
			if st.ID.Instance == "a" && st.Status != health.Degraded {
				t.Errorf("stored as %v, want the last", st.Status)
			}
		}
	})
}

// TestCommandsAreBounded: a command is refused at once when MaxCommands wait.
func TestCommandsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		unblock := d.block()
		var waits []func() error
		register := func(i int) error {
			return r.tryRegister(leased(fmt.Sprintf("pay/%d", i), "i"))
		}
		waits = append(waits, later(func() error { return register(-1) })) // the commit under way
		synctest.Wait()
		for i := range core.MaxCommands {
			waits = append(waits, later(func() error { return register(i) }))
		}
		synctest.Wait()
		wantError(t, register(core.MaxCommands), domain.ErrLimit)
		before := d.written()
		unblock()
		for _, wait := range waits {
			if err := wait(); err != nil {
				t.Error(err)
			}
		}
		if n := d.written() - before; n > 3 {
			t.Errorf("%d commits for what waited, want one for all", n)
		}
	})
}
