package storetest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

func testEmpty(t *testing.T, open Open) {
	s := open(t, 0)
	same(t, "Load", load(t, s), store.State{})
	same(t, "Lookup", lookup(t, s, pay1), store.State{})
	if p := page(t, s, store.Query{Limit: 1}); len(p.Transitions) > 0 || p.Next != 0 {
		t.Errorf("an empty journal has the page %+v", p)
	}
	commit(t, s, &store.Batch{})
	same(t, "after an empty batch", load(t, s), store.State{})
}

// full returns a batch in which every field has a value, except for the fields of deletions.
func full() *store.Batch {
	return &store.Batch{
		PutRegistrations: []store.Registration{{
			ID: pay1, Address: "[2001:db8::1]:443", HealthName: "pay.v1", Incarnation: "f00", Zone: "z", Version: "v1.2.3",
			Labels: map[string]string{"tier": "gold", "": "empty", "<&>": "\u2028ü\x01"}, ServerName: "pay.example",
			Static: true, TTL: 30*time.Second + 1, Region: "r", Source: "kube", Registrant: "spiffe://d/x", Peer: netip.MustParseAddr("192.0.2.1"), Proof: "missing",
			Traffic: &store.Traffic{Address: "pay.example:80", Weight: 128, TLSNames: []string{"a.example", "spiffe://x/y"}},
			Judge:   &store.Judge{Rule: "at-least-2", MinAvailable: 3, Optional: true, Critical: true},
			Key:     []byte("\x00secret\xff"), Proves: true, Protocol: "check", Lease: ^uint64(0), RegisteredAt: at(1),
		}},
		PutOverrides: []store.Override{{
			Scope: "zone=z,label.tier=gold", Status: health.Draining, Author: "ann", Reason: "\"quoted\"\n", SetAt: at(2), ExpiresAt: at(3), GoneAt: at(8),
		}},
		PutStatuses: []store.Status{{
			ID: pay1, Status: health.Maintenance, Cause: health.CauseStarting, Reason: "r", Since: at(4), Proven: true, Named: true, Unheard: true,
			Route: "DEGRADED", Endpoint: netip.MustParseAddrPort("[2001:db8::1]:80"),
			Shown: &store.ShownProof{Proof: "identity", Lease: ^uint64(0), Address: "[2001:db8::1]:443", Registrant: "spiffe://d/x"},
		}},
		Transitions: []store.Transition{{
			ID: pay1, From: health.Maintenance, To: health.NotServing, At: at(5), Cause: health.CauseStale, Reason: "why",
			FirstFailure: at(6), Removed: true, Lost: ^uint64(0), Action: store.ActionEnded, Scope: "zone=z", By: "bob",
		}},
		PutPositions: []store.Position{{Consumer: "web", Seq: 1}},
		AliveAt:      at(7),
		ID:           ^uint64(0),
	}
}

func testEveryField(t *testing.T, open Open) {
	s, b := open(t, 0), full()
	commit(t, s, b)
	same(t, "Load", load(t, s), stateOf(full()))
	want := stateOf(full())
	want.Overrides, want.Positions = nil, nil // the override has another scope, so Lookup does not return it
	same(t, "Lookup", lookup(t, s, pay1), want)
	sameJournal(t, "journal", journal(t, s, store.Query{Limit: 1}), full().Transitions)
	same(t, "the batch itself", stateOf(b), stateOf(full()))
}

func testPutReplaces(t *testing.T, open Open) {
	s := open(t, 0)
	before := full()
	before.PutOverrides[0].Scope = pay1.String()
	commit(t, s, before)
	b := whole(pay1)
	twice := registration(pay1)
	twice.Lease = 1
	b.PutRegistrations = append([]store.Registration{twice}, b.PutRegistrations...)
	b.PutPositions = []store.Position{{Consumer: "web", Seq: 2}}
	b.AliveAt, b.ID = at(9), 3
	commit(t, s, b)
	b.PutRegistrations = b.PutRegistrations[1:]
	same(t, "after a second put", load(t, s), stateOf(b))

	commit(t, s, &store.Batch{ID: 3, PutRegistrations: full().PutRegistrations})
	b.PutRegistrations = full().PutRegistrations
	same(t, "a put of the registration leaves the other records", load(t, s), stateOf(b))
}

func testDeleteLeavesOverrides(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, whole(pay1, pay2))
	commit(t, s, &store.Batch{DeleteRegistrations: []health.ID{pay1, pay1}})
	want := stateOf(whole(pay2))
	want.Overrides = append(want.Overrides, override(pay1))
	same(t, "after the deletion", load(t, s), want)
	commit(t, s, &store.Batch{PutRegistrations: []store.Registration{registration(pay1)}})
	same(t, "the status was deleted with the registration", lookup(t, s, pay1),
		store.State{Registrations: []store.Registration{registration(pay1)}, Overrides: []store.Override{override(pay1)}})
}

func testDeleteUnknown(t *testing.T, open Open) {
	s := open(t, 0)
	b := whole(pay1)
	b.DeleteRegistrations, b.DeleteOverrides = []health.ID{pay2}, []string{"cart/1"}
	commit(t, s, b)
	same(t, "Load", load(t, s), stateOf(b))

	// An override does not depend on a registration.
	commit(t, s, &store.Batch{PutOverrides: []store.Override{override(cart1)}})
	same(t, "an override alone", lookup(t, s, cart1), store.State{Overrides: []store.Override{override(cart1)}})
	commit(t, s, &store.Batch{DeleteRegistrations: []health.ID{cart1}})
	same(t, "after the deletion of the instance", lookup(t, s, cart1), store.State{Overrides: []store.Override{override(cart1)}})
}

func testDeleteOverride(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, whole(pay1, pay2))
	commit(t, s, &store.Batch{DeleteOverrides: []string{"pay/1"}})
	want := stateOf(whole(pay1, pay2))
	want.Overrides = want.Overrides[1:]
	same(t, "Load", load(t, s), want)
}

func testDeletesComeFirst(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, whole(pay1))
	b := full()
	b.DeleteRegistrations, b.DeleteOverrides = []health.ID{pay1}, []string{"pay/1", b.PutOverrides[0].Scope}
	b.DeletePositions = []string{"web"}
	commit(t, s, b)
	same(t, "a batch deletes and puts the same records", load(t, s), stateOf(full()))

	b = &store.Batch{DeleteRegistrations: []health.ID{pay1}, PutRegistrations: []store.Registration{registration(pay1)}}
	commit(t, s, b)
	want := stateOf(full())
	want.Registrations, want.Statuses, want.LastBatch = b.PutRegistrations, nil, 0
	same(t, "the old status is deleted", load(t, s), want)
}

func testStatusOfUnknown(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, &store.Batch{PutStatuses: []store.Status{status(pay1)}})
	same(t, "the instance was never registered", load(t, s), store.State{})
	b := whole(pay1)
	commit(t, s, b)
	same(t, "the same batch registers the instance", load(t, s), stateOf(b))
	commit(t, s, &store.Batch{DeleteRegistrations: []health.ID{pay1}, PutStatuses: []store.Status{status(pay1)}})
	same(t, "the same batch deletes the instance", load(t, s), store.State{Overrides: b.PutOverrides})
	commit(t, s, &store.Batch{PutRegistrations: b.PutRegistrations})
	same(t, "the status was not kept for later", load(t, s), store.State{Registrations: b.PutRegistrations, Overrides: b.PutOverrides})
}

func testAliveAt(t *testing.T, open Open) {
	s := open(t, 0)
	for _, c := range []struct{ put, want time.Time }{
		{time.Time{}, time.Time{}},
		{at(5), at(5)},
		{time.Time{}, at(5)},
		{at(3), at(3)}, // an earlier time than before must be stored too, because a clock may be set back
		{at(4).In(time.FixedZone("", 3600)), at(4)},
	} {
		commit(t, s, &store.Batch{AliveAt: c.put})
		if got := load(t, s).AliveAt; !got.Equal(c.want) {
			t.Errorf("after %v it is %v, want %v", c.put, got, c.want)
		}
	}
}

// testBatchID checks that Load and Lookup return the ID of the last batch.
func testBatchID(t *testing.T, open Open) {
	s := open(t, 0)
	for _, n := range []uint64{1, 2, ^uint64(0), 1, 0} {
		commit(t, s, &store.Batch{ID: n})
		if loaded, found := load(t, s).LastBatch, lookup(t, s).LastBatch; loaded != n || found != n {
			t.Errorf("after batch %d: Load says %d, Lookup says %d", n, loaded, found)
		}
	}
}

func testLookup(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, whole(pay1, pay2, cart1))
	same(t, "one", lookup(t, s, pay2), stateOf(whole(pay2)))
	same(t, "two", lookup(t, s, cart1, pay1), stateOf(whole(pay1, cart1)))
	same(t, "one twice", lookup(t, s, pay1, pay1), stateOf(whole(pay1)))
	same(t, "unknown", lookup(t, s, id("pay", "3")), store.State{})
	same(t, "a service is not an instance", lookup(t, s, id("pay", "")), store.State{})
	same(t, "none", lookup(t, s), store.State{})
}

// testNames uses names that are parts of other names. The store must not confuse them.
func testNames(t *testing.T, open Open) {
	s := open(t, 0)
	ids := []health.ID{id("a", "b"), id("ab", ""), id("", "ab"), id("a", "bc"), id("*", ""), id("*", "z1"), id("*", "z10"), id("a", ""), id("aa", "b"), id("a", "/b")}
	commit(t, s, whole(ids...))
	same(t, "Load", load(t, s), stateOf(whole(ids...)))
	for _, id := range ids {
		same(t, id.String(), lookup(t, s, id), stateOf(whole(id)))
		q := store.Query{ID: id, Limit: 2}
		sameJournal(t, id.String(), journal(t, s, q), matching(whole(ids...).Transitions, q))
	}
}

// testAliasing changes the batch after the commit, and the results of Load and other methods. The
// records in the store must not change.
func testAliasing(t *testing.T, open Open) {
	s, b := open(t, 0), full()
	commit(t, s, b)
	b.PutRegistrations[0].Labels["tier"] = "spoiled"
	b.PutRegistrations[0].Key[1] = 'S'
	b.Transitions[0].Reason = "spoiled"
	load(t, s).Registrations[0].Labels["tier"] = "spoiled"
	load(t, s).Registrations[0].Key[1] = 'S'
	lookup(t, s, pay1).Registrations[0].Labels["tier"] = "spoiled"
	page(t, s, store.Query{Limit: 1}).Transitions[0].Reason = "spoiled"
	segment(t, s, store.Cursor{Limit: 1}).Transitions[0].Reason = "spoiled"
	same(t, "Load", load(t, s), stateOf(full()))
	sameJournal(t, "journal", journal(t, s, store.Query{Limit: 1}), full().Transitions)
}
