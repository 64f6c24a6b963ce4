package registry

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
)

var (
	payA   = health.ParseID("pay/a")
	onPayA = health.ScopeOf(payA)
)

func force(s health.Status, who, why string) *health.Override {
	return &health.Override{Status: s, Author: who, Reason: why, SetAt: time.Now()}
}

// overridden returns a registry with the instance pay/a, and its disk.
func overridden(t *testing.T, policy health.MeshPolicy) (r *rig, d *disk, lease uint64) {
	d = newDisk()
	r = run(t, Config{Store: d, Policy: policy})
	return r, d, r.register(leased("pay/a", "i1")).Lease
}

// together makes one commit of several calls, in their order, and returns their
// results.
func together(t *testing.T, r *rig, d *disk, all ...func() error) (answers []error) {
	t.Helper()
	unblock := d.block()
	first := later(func() error { return r.tryRegister(fixed("first/1")) })
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

// kept checks that want overrides are stored, and as many are in effect.
func kept(t *testing.T, r *rig, d *disk, want int) {
	t.Helper()
	synctest.Wait()
	s, err := d.Memory.Load(t.Context())
	all, asked := r.Overrides(t.Context())
	if err != nil || asked != nil || len(s.Overrides) != want || len(all) != want {
		t.Errorf("stored %+v, %v; they hold: %+v, %v; want %d", s.Overrides, err, all, asked, want)
	}
}

// An instance that is removed and registered in one commit keeps its override, also
// after a restart.
func TestOverrideOfAnInstanceThatComesBackInOneCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, lease := overridden(t, health.MeshPolicy{})
		succeeds(t, []error{r.SetOverride(t.Context(), onPayA, force(health.Maintenance, "ann", "disks"))})
		succeeds(t, together(t, r, d,
			func() error { return r.deregister("pay/a", lease) },
			func() error {
				return r.tryRegister(leased("pay/a", "i2"))
			}))
		r.is("pay/a", health.Maintenance)
		kept(t, r, d, 1)
		r.stop()
		run(t, Config{Store: d}).is("pay/a", health.Maintenance)
	})
}

// The override of a removed instance may be replaced and cleared. Any other name must
// be registered.
func TestOverrideOfARemovedInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, lease := overridden(t, health.MeshPolicy{})
		succeeds(t, []error{r.SetOverride(t.Context(), onPayA, force(health.Maintenance, "ann", "disks"))})
		succeeds(t, together(t, r, d,
			func() error { return r.deregister("pay/a", lease) },
			func() error { return r.SetOverride(t.Context(), onPayA, force(health.NotServing, "bob", "no")) }))
		kept(t, r, d, 1)
		all, err := r.Overrides(t.Context())
		if err != nil || len(all) != 1 || all[0].Status != health.NotServing || all[0].Instances != 0 {
			t.Errorf("%+v, %v", all, err)
		}
		other := health.ScopeOf(health.ParseID("pay/b"))
		wantError(t, r.SetOverride(t.Context(), other, force(health.NotServing, "bob", "no")), domain.ErrNotFound)
		succeeds(t, []error{r.ClearOverride(t.Context(), onPayA, "bob", "it is gone")})
		kept(t, r, d, 0)
		wantError(t, r.SetOverride(t.Context(), onPayA, force(health.NotServing, "bob", "no")), domain.ErrNotFound)
		r.register(leased("pay/a", "i2"))
		r.is("pay/a", health.Starting)
	})
}

// An override that is stored while its instance is removed is in effect for the next
// one of the name.
func TestOverrideOfWhoIsRemovedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := overridden(t, health.MeshPolicy{DeregisterAfter: time.Second})
		time.Sleep(30900 * time.Millisecond) // its lease expired at 30 s, and it is removed at 31 s
		unblock := d.block()
		set := later(func() error { return r.SetOverride(t.Context(), onPayA, force(health.Maintenance, "ann", "disks")) })
		time.Sleep(time.Second)
		r.gone("pay/a")
		unblock()
		succeeds(t, []error{set()})
		time.Sleep(2 * time.Second)
		kept(t, r, d, 1)
		r.register(leased("pay/a", "i9"))
		r.is("pay/a", health.Maintenance)
	})
}

// TestOverrideOutlastsItsInstance: an override is in effect until it expires or is
// cleared, however often its instance comes and goes. One without an end is dropped a
// day after its instance was removed, and the history says why. A restart changes
// nothing.
func TestOverrideOutlastsItsInstance(t *testing.T) {
	const day = 24 * time.Hour
	for what, c := range map[string]struct {
		expires time.Duration // of the override; 0 means never
		away    time.Duration // until the instance is registered again
		restart time.Duration // after the removal of the instance; 0 means none
		holds   bool
		ended   time.Duration // after the removal of the instance
		why     string
	}{
		"for a moment":              {away: time.Second, holds: true},
		"almost for a day":          {away: day - time.Minute, holds: true},
		"for a day":                 {away: day + time.Minute, ended: day, why: "no instance of this name was registered for a day"},
		"restart, a moment":         {away: time.Hour, restart: time.Minute, holds: true},
		"restart, almost a day":     {away: day - time.Minute, restart: 12 * time.Hour, holds: true},
		"restart, a day":            {away: day + time.Minute, restart: 12 * time.Hour, ended: day, why: "no instance of this name was registered for a day"},
		"away while it was over":    {away: 2*day + time.Minute, restart: 2 * day, ended: day, why: "no instance of this name was registered for a day"},
		"expires meanwhile":         {expires: time.Hour, away: 2 * time.Hour, ended: time.Hour},
		"expires later than a day":  {expires: 2 * day, away: day + time.Hour, holds: true},
		"restart, expires later":    {expires: 2 * day, away: day + time.Hour, restart: time.Hour, holds: true},
		"restart, expires meantime": {expires: time.Hour, away: 3 * time.Hour, restart: 2 * time.Hour, ended: time.Hour},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, d, lease := overridden(t, health.MeshPolicy{})
				o := force(health.Maintenance, "ann", "disks")
				if c.expires > 0 {
					o.ExpiresAt = o.SetAt.Add(c.expires)
				}
				succeeds(t, []error{r.SetOverride(t.Context(), onPayA, o), r.deregister("pay/a", lease)})
				left := time.Now()
				if c.restart > 0 {
					r.stop()
					time.Sleep(c.restart)
					r = run(t, Config{Store: d})
				}
				time.Sleep(time.Until(left.Add(c.away)))
				if !c.holds {
					kept(t, r, d, 0)
					r.ends(left.Add(c.ended))
					r.endedBecause(c.why)
				}
				r.register(fixed("pay/a"))
				want := map[bool]health.Status{true: health.Maintenance, false: health.Starting}[c.holds]
				r.is("pay/a", want)
				if c.holds && c.expires == 0 { // the day begins again
					time.Sleep(2 * day)
					r.is("pay/a", want)
				}
			})
		})
	}
}

// endedBecause checks the reason in the history for which an override has ended.
func (r *rig) endedBecause(why string) {
	r.t.Helper()
	page, err := r.Transitions(r.t.Context(), store.Query{ID: payA, Limit: 10})
	for _, tr := range page.Transitions {
		if tr.Action == store.ActionEnded && tr.Reason != why {
			r.t.Errorf("it ended because %q, want %q", tr.Reason, why)
		}
	}
	if err != nil {
		r.t.Error(err)
	}
}

// TestOverrideEndsWhileItsInstanceComesBack: the day ends while the registration is
// stored, or waits for that. The override stays in effect, in memory and in the
// store.
func TestOverrideEndsWhileItsInstanceComesBack(t *testing.T) {
	const day = 24 * time.Hour
	for what, c := range map[string]struct {
		before time.Duration // how long before the end of the day the registration is sent
		other  bool          // another commit blocks the store meanwhile
	}{
		"stored":             {before: time.Second},
		"waits":              {before: time.Second, other: true},
		"waits, and is late": {before: -time.Second, other: true},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, d, lease := overridden(t, health.MeshPolicy{})
				succeeds(t, []error{
					r.SetOverride(t.Context(), onPayA, force(health.Maintenance, "ann", "disks")), r.deregister("pay/a", lease),
				})
				left := time.Now()
				time.Sleep(day - 2*time.Second)
				unblock := d.block()
				var waits []func() error
				register := func(name string) {
					waits = append(waits, later(func() error { return r.tryRegister(leased(name, "i2")) }))
					synctest.Wait()
				}
				if c.other {
					register("pay/other")
				}
				time.Sleep(time.Until(left.Add(day - c.before)))
				register("pay/a")
				time.Sleep(3 * time.Second)
				unblock()
				for _, wait := range waits {
					succeeds(t, []error{wait()})
				}
				time.Sleep(time.Second)
				r.is("pay/a", health.Maintenance)
				kept(t, r, d, 1)
				r.stop()
				r = run(t, Config{Store: d})
				r.is("pay/a", health.Maintenance)
			})
		})
	}
}

// TestOverrideOutlastsAnEmptyConfiguration: an override survives that its target is
// not configured for a time.
func TestOverrideOutlastsAnEmptyConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.configure("pay/a")
		succeeds(t, []error{r.SetOverride(t.Context(), onPayA, force(health.Maintenance, "ann", "disks"))})
		r.configure()
		r.gone("pay/a")
		kept(t, r, d, 1)
		r.stop()
		r = run(t, Config{Store: d})
		r.configure("pay/a")
		r.is("pay/a", health.Maintenance)
	})
}

// Clearing an override does not change the author and the reason of the value that
// was set.
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

// An override that expires before it is stored has ended, and the history says so.
func TestOverrideThatExpiresBeforeItIsStored(t *testing.T) {
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

// An override that expires while the coordinator is down has ended at its expiry, not
// at the restart.
func TestOverrideExpiresWhileStopped(t *testing.T) {
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

// ends checks that an override has ended at a time by the history.
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

// A caller that gives up does not read the answer that is being written.
func TestCallersOfOverridesMayGiveUp(t *testing.T) {
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

// The rule of a service follows from its registrations, also after a restart.
func TestRuleFollowsRegistrations(t *testing.T) {
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
		lease := says("pay/c", "i1", &health.ServicePolicy{Rule: health.AtLeast(1)})
		judged(health.AtLeast(1))
		succeeds(t, []error{r.deregister("pay/c", lease)})
		judged(health.Worst)
		says("pay/b", "i2", nil)
		judged(health.Rule{})
		says("pay/b", "i3", &health.ServicePolicy{Critical: true})
		judged(health.Rule{})
		if !r.entry("pay").Counts.Critical {
			t.Error("after a restart it is not critical")
		}
	})
}
