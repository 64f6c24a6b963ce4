package registry

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

var (
	payA   = health.ParseID("pay/a")
	onPayA = health.ScopeOf(payA)
)

func force(s health.Status, who, why string) *health.Override {
	return &health.Override{Status: s, Author: who, Reason: why, SetAt: time.Now()}
}

// overridden is a registry with pay/a in it, and its disk.
func overridden(t *testing.T, policy health.MeshPolicy) (r *rig, d *disk, lease uint64) {
	d = newDisk()
	r = run(t, Config{Store: d, Policy: policy})
	return r, d, r.register(leased("pay/a", "i1")).Lease
}

// together makes one commit of what all of them want, in their order, and
// returns what each answered.
func together(t *testing.T, r *rig, d *disk, all ...func() error) (answers []error) {
	t.Helper()
	unblock := d.block()
	first := later(func() error { _, err := r.Register(t.Context(), []wire.Registration{fixed("first/1")}); return err })
	synctest.Wait()
	var waits []func() error
	for _, f := range all {
		waits = append(waits, later(f))
		synctest.Wait()
	}
	unblock()
	if err := first(); err != nil {
		t.Fatal(err)
	}
	for _, wait := range waits {
		answers = append(answers, wait())
	}
	return answers
}

func succeeds(t *testing.T, answers []error) {
	t.Helper()
	for i, err := range answers {
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
}

// kept compares how many overrides are stored with how many hold.
func kept(t *testing.T, r *rig, d *disk, want int) {
	t.Helper()
	synctest.Wait()
	s, err := d.Memory.Load(t.Context())
	all, asked := r.Overrides(t.Context())
	if err != nil || asked != nil || len(s.Overrides) != want || len(all) != want {
		t.Errorf("stored %+v, %v; they hold: %+v, %v; want %d", s.Overrides, err, all, asked, want)
	}
}

// A name that leaves and comes back in one commit has no override any more, not
// after a restart either.
func TestOverrideOfWhoComesBackInOneCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, lease := overridden(t, health.MeshPolicy{})
		succeeds(t, []error{r.SetOverride(t.Context(), onPayA, force(health.Maintenance, "ann", "disks"))})
		succeeds(t, together(t, r, d,
			func() error { return r.Deregister(t.Context(), payA, lease) },
			func() error {
				_, err := r.Register(t.Context(), []wire.Registration{leased("pay/a", "i2")})
				return err
			}))
		r.is("pay/a", health.Starting)
		kept(t, r, d, 0)
		r.stop()
		run(t, Config{Store: d}).is("pay/a", health.Starting)
	})
}

func TestOverrideOfWhoLeftInTheSameCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, lease := overridden(t, health.MeshPolicy{})
		succeeds(t, []error{r.SetOverride(t.Context(), onPayA, force(health.Maintenance, "ann", "disks"))})
		answers := together(t, r, d,
			func() error { return r.Deregister(t.Context(), payA, lease) },
			func() error { return r.SetOverride(t.Context(), onPayA, force(health.NotServing, "bob", "no")) })
		succeeds(t, answers[:1])
		wantError(t, answers[1], wire.ErrNotFound)
		kept(t, r, d, 0)
	})
}

// One that is stored while its instance goes is for nobody, and least of all for
// the next of that name.
func TestOverrideOfWhoIsRemovedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := overridden(t, health.MeshPolicy{DeregisterAfter: time.Second})
		time.Sleep(30900 * time.Millisecond) // its lease was over at 30 s; it goes at 31 s
		unblock := d.block()
		set := later(func() error { return r.SetOverride(t.Context(), onPayA, force(health.Maintenance, "ann", "disks")) })
		time.Sleep(time.Second)
		r.gone("pay/a")
		unblock()
		succeeds(t, []error{set()})
		time.Sleep(2 * time.Second)
		kept(t, r, d, 0)
		r.register(leased("pay/a", "i9"))
		r.is("pay/a", health.Starting)
	})
}

// Whoever clears it does not rewrite why it was set.
func TestSetAndClearInOneCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := overridden(t, health.MeshPolicy{})
		mine := force(health.Maintenance, "ann", "disks")
		succeeds(t, together(t, r, d,
			func() error { return r.SetOverride(t.Context(), onPayA, mine) },
			func() error { return r.ClearOverride(t.Context(), onPayA, "bob", "they are in") }))
		kept(t, r, d, 0)
		if mine.Author != "ann" || mine.Reason != "disks" {
			t.Errorf("what ann has set is now %+v", mine)
		}
		time.Sleep(time.Second)
		page, err := r.Transitions(t.Context(), store.Query{ID: payA, Limit: 10})
		for _, tr := range page.Transitions {
			if tr.Action == store.ActionNone && tr.To == health.Maintenance && (tr.Reason != "disks" || tr.By != "ann") {
				t.Errorf("it was taken out by %s: %s", tr.By, tr.Reason)
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// One whose time is over before it is stored has ended, and the history says so.
func TestOverrideThatIsOverBeforeItIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := overridden(t, health.MeshPolicy{})
		brief := force(health.Maintenance, "ann", "disks")
		brief.ExpiresAt = brief.SetAt.Add(time.Second)
		unblock := d.block()
		set := later(func() error { return r.SetOverride(t.Context(), onPayA, brief) })
		time.Sleep(3 * time.Second)
		unblock()
		succeeds(t, []error{set()})
		time.Sleep(time.Minute)
		kept(t, r, d, 0)
		r.ends(brief.ExpiresAt)
	})
}

// It ended when it did, not when we came back.
func TestOverrideEndedWhileWeWereAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := overridden(t, health.MeshPolicy{})
		brief := force(health.Maintenance, "ann", "disks")
		brief.ExpiresAt = brief.SetAt.Add(time.Minute)
		succeeds(t, []error{r.SetOverride(t.Context(), onPayA, brief)})
		r.stop()
		time.Sleep(24 * time.Hour)
		r = run(t, Config{Store: d})
		time.Sleep(time.Second)
		kept(t, r, d, 0)
		r.ends(brief.ExpiresAt)
	})
}

// ends wants the history to say that an override has ended then.
func (r *rig) ends(when time.Time) {
	r.t.Helper()
	page, err := r.Transitions(r.t.Context(), store.Query{ID: payA, Limit: 10})
	for _, tr := range page.Transitions {
		if tr.Action == store.ActionEnded {
			if !tr.At.Equal(when) {
				r.t.Errorf("it ended at %v, want %v", tr.At, when)
			}
			return
		}
	}
	r.t.Errorf("the history does not say that it has ended: %+v, %v", page, err)
}

// Whoever does not wait for the answer does not read what is being written.
func TestOverridesThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{Store: newDisk()})
		for range 500 {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			if all, err := r.Overrides(ctx); err != nil && all != nil {
				t.Fatal("an answer beside an error")
			}
		}
	})
}

// How a service is judged follows from who is registered, also after a restart.
func TestRuleOfWhoIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := overridden(t, health.MeshPolicy{})
		says := func(name, incarnation string, p *health.ServicePolicy) uint64 {
			time.Sleep(time.Second)
			reg := leased(name, incarnation)
			reg.Spec.Judge = p
			return r.register(reg).Lease
		}
		judged := func(want health.Rule) {
			t.Helper()
			if rule := r.entry("pay").Counts.Rule; rule != want {
				t.Errorf("judged by %s, want %s", rule, want)
			}
			r.stop()
			r = run(t, Config{Store: d})
			if rule := r.entry("pay").Counts.Rule; rule != want {
				t.Errorf("after a restart judged by %s, want %s", rule, want)
			}
		}
		judged(health.Rule{})
		says("pay/b", "i1", &health.ServicePolicy{Rule: health.Worst})
		lease := says("pay/c", "i1", &health.ServicePolicy{Rule: health.Any})
		judged(health.Any)
		succeeds(t, []error{r.Deregister(t.Context(), health.ParseID("pay/c"), lease)})
		judged(health.Worst)
		says("pay/b", "i2", nil)
		judged(health.Rule{})
	})
}
