package api

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// owners returns a setup in which everybody may register. The identity observer may report for instances of others of
// the service pay, and operators may manage the coordinator.
func owners(a *authority) func(*setup) {
	return func(s *setup) {
		s.creds, s.client = a.server(tls.VerifyClientCertIfGiven), a.client(a.named("payments"))
		s.access = &access.Policy{Rules: []access.Rule{
			{Name: "services", Who: []string{"anyone"}, Register: everybody().Rules[0].Register, Read: everybody().Rules[0].Read},
			{Name: "observers", Who: []string{"spiffe://mesh.test/observer"}, Report: &access.Services{Services: []string{"pay"}}},
			{Name: "operators", Who: []string{"spiffe://mesh.test/operator/*"}, Admin: true},
		}}
	}
}

// TestLeasesAreOfTheirIdentity: a lease has an effect only for the identity that was given it, and for operators. A rule
// with report permits reports for others, and no renewals.
func TestLeasesAreOfTheirIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAuthority(t), &book{}
		w := newWorld(t, func(s *setup) { owners(a)(s); s.Audit = b })
		callers := map[string]*visitor{
			"owner": w.visitor, "other": w.call(home, a.client(a.named("db"))), "nobody": w.call(home, a.client(nil)),
			"observer": w.call(home, a.client(a.named("observer"))), "operator": w.call(home, a.client(a.named("operator/ann"))),
		}
		pay, db := w.lease("pay/1"), w.lease("db/1")
		serving := pb.Status_STATUS_SERVING
		for _, c := range []struct {
			who, what string
			req       any
			denied    string // verb in the audit log; empty if the request is allowed
		}{
			{"owner", "renews", renewal(pay), ""},
			{"other", "renews", renewal(pay), "register"},
			{"nobody", "renews", renewal(pay), "register"},
			{"observer", "renews", renewal(pay), "register"},
			{"operator", "renews", renewal(pay), ""},
			{"other", "reports", pushed(pay, serving), "report"},
			{"nobody", "reports", pushed(pay, serving), "report"},
			{"observer", "reports for another service", pushed(db, serving), "report"},
			{"other", "deregisters", farewell(pay), "admin"},
			{"nobody", "deregisters", farewell(pay), "admin"},
			{"observer", "deregisters", farewell(pay), "admin"},
		} {
			b.take()
			switch err := callers[c.who].send(c.req); {
			case c.denied != "":
				wantCode(t, err, codes.PermissionDenied, wire.ReasonNotAllowed)
				wantText(t, err, "allowed: the same identity, ", "or the right to admin")
			case err != nil:
				t.Errorf("%s %s: %v", c.who, c.what, err)
			}
			if got := strings.Join(b.take(), "; "); c.denied != "" && !strings.HasPrefix(got, "refused denied "+c.denied) {
				t.Errorf("%s %s: audited %q, want a refusal of %s", c.who, c.what, got, c.denied)
			}
		}
		for _, who := range []string{"owner", "observer", "operator"} {
			callers[who].report(pushed(pay, serving)).open()
		}
		w.is("pay/1 SERVING")
		// Without its lease, nobody learns whose instance it is.
		stale := farewell(pay)
		stale.LeaseId = "a1"
		wantCode(t, callers["other"].send(stale), codes.FailedPrecondition, wire.ReasonSuperseded)
		if err := w.send(farewell(pay)); err != nil {
			t.Error(err)
		}
	})
}

// TestLeaseWithoutAnIdentity: what was registered without an identity is renewed, reported for and removed by everybody
// who has its lease. This is so for registrations of earlier releases, also after a restart.
func TestLeaseWithoutAnIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, kept := newAuthority(t), store.NewMemory(0)
		w := newWorld(t, func(s *setup) { owners(a)(s); s.store = kept })
		l := w.call(home, a.client(nil)).lease("pay/1")
		w.end()
		w = newWorld(t, func(s *setup) { owners(a)(s); s.store, s.epoch = kept, 78 })
		for _, v := range []*visitor{w.visitor, w.call(home, a.client(nil))} {
			if err := v.send(renewal(l)); err != nil {
				t.Error(err)
			}
			v.report(pushed(l, pb.Status_STATUS_SERVING)).open()
		}
		without := farewell(l)
		without.LeaseId, without.Force = "", true
		wantCode(t, w.send(without), codes.PermissionDenied, wire.ReasonNotAllowed)
		if err := w.send(farewell(l)); err != nil {
			t.Error(err)
		}
	})
}

// TestReportEndsWithATakeover: when an operator takes over an instance with the same lease, the reports of the earlier
// owner are refused.
func TestReportEndsWithATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		w := newWorld(t, owners(a))
		l := w.lease("pay/1")
		r := w.report(pushed(l, pb.Status_STATUS_SERVING))
		r.open()
		ann := w.call(home, a.client(a.named("operator/ann")))
		if again := ann.lease("pay/1"); again.GetLeaseId() != l.GetLeaseId() {
			t.Fatalf("another lease: %v, then %v", l, again)
		}
		r.says(says(pb.Status_STATUS_NOT_SERVING))
		wantCode(t, r.end(), codes.PermissionDenied, wire.ReasonNotAllowed)
		w.is("pay/1 SERVING")
		if err := ann.send(renewal(l)); err != nil {
			t.Error(err)
		}
	})
}
