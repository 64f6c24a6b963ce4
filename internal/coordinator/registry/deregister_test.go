package registry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestDeregisterByHand: a person may remove an instance whose process does not renew
// its lease, and with force any. The answer says whether it will come back. Leases
// last for 30 s.
func TestDeregisterByHand(t *testing.T) {
	for what, c := range map[string]struct {
		restart    bool
		after      time.Duration // since the last renewal, or the restart
		dies       bool          // its renewals end
		refused    bool          // the answer without force
		returns    bool          // the answer with force
		leaseIsOld bool
	}{
		"just registered":              {after: 0, refused: true, returns: true},
		"renewing for long":            {after: time.Hour, refused: true, returns: true},
		"a third of its TTL ago":       {after: 10 * time.Second, dies: true, refused: true, returns: true},
		"more than half of its TTL":    {after: 16 * time.Second, dies: true},
		"expired":                      {after: time.Minute, dies: true},
		"restart":                      {restart: true, after: time.Second, dies: true, refused: true, returns: true},
		"restart, and overdue":         {restart: true, after: 31 * time.Second, dies: true},
		"restart, expired":             {restart: true, after: 10 * time.Minute, dies: true},
		"restart, and renewing":        {restart: true, after: time.Hour, refused: true, returns: true},
		"restart, then renewed, dying": {restart: true, after: 16 * time.Second, dies: true, leaseIsOld: true},
	} {
		for _, force := range []bool{false, true} {
			t.Run(what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDisk()
					policy := health.MeshPolicy{DeregisterAfter: -1}
					r := run(t, Config{Store: d, Epoch: 1, Policy: policy})
					lease := r.register(leased("pay/a", "i")).Lease
					renew := func() {
						if _, _, err := r.Renew(t.Context(), payA, lease, wire.Registrant{}); err != nil {
							t.Fatal(err)
						}
					}
					if c.restart {
						r.stop()
						time.Sleep(time.Second)
						r = run(t, Config{Store: d, Epoch: 2, Policy: policy})
					}
					if c.leaseIsOld {
						time.Sleep(time.Minute)
						renew()
					}
					for passed := time.Duration(0); passed < c.after; passed += 10 * time.Second {
						time.Sleep(min(10*time.Second, c.after-passed))
						if !c.dies {
							renew()
						}
					}
					returns, err := r.Deregister(t.Context(), payA, 0, force, wire.Registrant{})
					if c.refused && !force {
						wantError(t, err, domain.ErrLeased)
						if want := "force: is false; allowed: true, or the lease_id of the process (instance pay/a: its process renews its lease)"; err == nil || err.Error() != want {
							t.Errorf("%v, want %q", err, want)
						}
						r.entry("pay/a")
						return
					}
					if err != nil || returns != c.returns {
						t.Errorf("force %v: it comes back: %v, %v; want %v", force, returns, err, c.returns)
					}
					r.gone("pay/a")
					if _, ok := d.holds(t, "pay/a"); ok {
						t.Error("it is stored")
					}
				})
			})
		}
	}
}

// TestForcedOutComesBack: the next renewal of an instance that was removed by force
// fails, so that it registers again.
func TestForcedOutComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{Store: newDisk()})
		lease := r.register(leased("pay/a", "i")).Lease
		if returns, err := r.Deregister(t.Context(), payA, 0, true, wire.Registrant{}); err != nil || !returns {
			t.Errorf("%v, %v", returns, err)
		}
		_, _, err := r.Renew(t.Context(), payA, lease, wire.Registrant{})
		wantError(t, err, domain.ErrLeaseUnknown)
		r.register(leased("pay/a", "i"))
		r.is("pay/a", health.Starting)
	})
}

// TestDeregisterOfAReplacedProcess: a process that did not renew was replaced by
// another. The person who wanted to remove the first does not remove the second.
func TestDeregisterOfAReplacedProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := run(t, Config{Store: d})
		r.register(leased("pay/a", "old"))
		time.Sleep(20 * time.Second)
		unblock := d.block()
		first := later(func() error { return r.tryRegister(fixed("pay/z")) })
		synctest.Wait()
		second := later(func() error {
			return r.tryRegister(leased("pay/a", "young"))
		})
		synctest.Wait()
		third := later(func() error { return r.deregister("pay/a", 0) })
		synctest.Wait()
		unblock()
		succeeds(t, []error{first(), second()})
		wantError(t, third(), domain.ErrLeased)
		r.is("pay/a", health.Starting)
	})
}
