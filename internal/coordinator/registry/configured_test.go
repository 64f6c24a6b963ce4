package registry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// target returns a registration of a configuration.
func target(name string) wire.Registration {
	reg := fixed(name)
	reg.Spec.Configured, reg.Spec.Address = true, "192.0.2.9:9"
	return reg
}

func (r *rig) configure(names ...string) {
	r.t.Helper()
	var regs []wire.Registration
	for _, name := range names {
		regs = append(regs, target(name))
	}
	if err := r.Configure(r.t.Context(), regs); err != nil {
		r.t.Fatal(err)
	}
}

// isTarget fails the test unless the configured target has the name, and is published
// and stored with the same lease.
func (r *rig) isTarget(d *disk, name string) {
	r.t.Helper()
	spec := r.entry(name).Spec
	if !spec.Configured || spec.Address != "192.0.2.9:9" {
		r.t.Errorf("%s is %+v", name, spec)
	}
	if held, ok := d.holds(r.t, name); !ok || held.Lease != spec.Lease || !held.Configured {
		r.t.Errorf("%s is stored as %+v, published with lease %x", name, held, spec.Lease)
	}
}

// TestConfiguredTargetComesBack: another process may register a configured name. When
// it has left, the configured target is registered again.
func TestConfiguredTargetComesBack(t *testing.T) {
	for how, leave := range map[string]func(r *rig, lease uint64){
		"it deregisters": func(r *rig, lease uint64) {
			if returns, err := r.Deregister(r.t.Context(), payA, lease, false, wire.Registrant{}); err != nil || !returns {
				r.t.Errorf("%v, %v", returns, err)
			}
		},
		"a person forces it out": func(r *rig, _ uint64) {
			if returns, err := r.Deregister(r.t.Context(), payA, 0, true, wire.Registrant{}); err != nil || !returns {
				r.t.Errorf("%v, %v", returns, err)
			}
		},
		"its lease ends": func(_ *rig, _ uint64) { time.Sleep(31 * time.Second) },
		"its lease ends, and it is forced": func(r *rig, lease uint64) {
			r.see("pay/a", lease, mesh.Event{Kind: mesh.EventRefused})
			time.Sleep(2 * time.Second)
			r.see("pay/a", lease, mesh.Event{Kind: mesh.EventRefused})
			succeeds(r.t, []error{r.SetOverride(r.t.Context(), onPayA, force(health.Serving, "ann", "well"))})
			time.Sleep(31 * time.Second)
		},
		"it drains, and its lease ends": func(r *rig, lease uint64) {
			r.says("pay/a", lease, health.Draining)
			time.Sleep(31 * time.Second)
		},
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisk()
				r := run(t, Config{Store: d, Policy: health.MeshPolicy{DeregisterAfter: time.Hour}})
				r.configure("pay/a", "pay/b")
				r.isTarget(d, "pay/a")
				lease := r.register(leased("pay/a", "i")).Lease
				if r.entry("pay/a").Spec.Configured {
					t.Fatal("another process cannot register the name")
				}
				r.says("pay/a", lease, health.Serving)
				leave(r, lease)
				time.Sleep(2 * core.Gather)
				r.isTarget(d, "pay/a")
				r.isTarget(d, "pay/b")
			})
		})
	}
}

// TestConfiguredTargetIsDeregistered: a configured target that is deregistered is
// registered again at once.
func TestConfiguredTargetIsDeregistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.configure("pay/a")
		lease := r.entry("pay/a").Spec.Lease
		if returns, err := r.Deregister(t.Context(), payA, 0, false, wire.Registrant{}); err != nil || !returns {
			t.Errorf("%v, %v", returns, err)
		}
		r.isTarget(d, "pay/a")
		if r.entry("pay/a").Spec.Lease == lease {
			t.Error("it did not go")
		}
		r.configure("pay/b")
		r.gone("pay/a")
		r.isTarget(d, "pay/b")
	})
}

// TestConfigureWithAFailingStore: a configuration is in effect at once, and is stored
// when the store works again. Other registrations are refused.
func TestConfigureWithAFailingStore(t *testing.T) {
	for what, fails := range map[string]struct{ writes, blind bool }{
		"not written": {}, "written all the same": {writes: true},
		"nobody knows": {blind: true}, "nobody knows, written": {true, true},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisk()
				r := run(t, Config{Store: d, Epoch: 1})
				r.configure("pay/a", "pay/b")
				d.set(errDisk, fails.writes, fails.blind)
				r.configure("pay/b", "pay/c") // the configuration is reloaded
				r.gone("pay/a")
				lease := r.entry("pay/c").Spec.Lease
				r.is("", health.Degraded)
				err := r.tryRegister(leased("pay/d", "i"))
				if found := fails.writes && !fails.blind; !found {
					wantError(t, err, domain.ErrStore)
				}
				r.says("pay/c", lease, health.Serving)
				r.is("pay/c", health.Serving)
				r.configure("pay/c", "pay/e") // and reloaded again
				r.gone("pay/b")
				r.is("pay/c", health.Serving)
				d.set(nil, false, false)
				time.Sleep(3 * core.RetryStore)
				r.is("", health.Serving)
				for _, name := range []string{"pay/a", "pay/b"} {
					r.gone(name)
					if _, ok := d.holds(t, name); ok {
						t.Errorf("%s is stored", name)
					}
				}
				r.isTarget(d, "pay/c")
				r.isTarget(d, "pay/e")
				if got := r.entry("pay/c").Spec.Lease; got != lease {
					t.Errorf("lease %x, then %x", lease, got)
				}
				r.register(leased("pay/c", "i"))
				r.stop()
				r = run(t, Config{Store: d, Epoch: 2})
				if r.entry("pay/c").Spec.Configured {
					t.Error("the process that registered the name since is forgotten")
				}
				r.isTarget(d, "pay/e")
			})
		})
	}
}

// TestComesBackWithAFailingStore: the lease of the other process expires while the
// store fails.
func TestComesBackWithAFailingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.configure("pay/a")
		lease := r.register(leased("pay/a", "i")).Lease
		r.says("pay/a", lease, health.Draining)
		d.set(errDisk, false, false)
		time.Sleep(35 * time.Second)
		if spec := r.entry("pay/a").Spec; !spec.Configured {
			t.Errorf("%+v", spec)
		}
		d.set(nil, false, false)
		time.Sleep(3 * core.RetryStore)
		r.isTarget(d, "pay/a")
	})
}

// TestConfigureBeyondTheLimit: a configuration is registered as a whole or refused.
func TestConfigureBeyondTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{Store: newDisk(), MaxInstances: 2})
		r.configure("pay/a", "pay/b")
		r.configure("pay/c", "pay/d") // the earlier registrations make room
		err := r.Configure(t.Context(), []wire.Registration{target("pay/a"), target("pay/b"), target("pay/c")})
		wantError(t, err, domain.ErrLimit)
		r.entry("pay/d")
		r.gone("pay/a")
	})
}
