package chaos

import (
	"fmt"
	"slices"
	"testing"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// TestKilledTargets checks the kinds of killed targets and occupants, and how many
// instances of each service are routable.
func TestKilledTargets(t *testing.T) {
	want := []string{
		"reused-feed-stock-0: ours, stock, 1/2 DEGRADED",
		"reused-feed-check-0: ours, check-only, 1/2 DEGRADED",
		"reused-feed-service-0: ours, ours occupant-0, 1/2 DEGRADED",
		"reused-feed-instance-0: ours, ours registered, 2/3 DEGRADED",
		"reused-plain-stock-0: stock, stock, 1/2 DEGRADED",
		"reused-plain-check-0: stock, check-only, 1/2 DEGRADED",
		"reused-plain-service-0: stock, ours occupant-0, 1/2 DEGRADED",
		"reused-plain-instance-0: stock, ours registered, 2/3 DEGRADED",
		"reused-static-stock-0: stock, stock, 2/2 SERVING",
		"reused-static-check-0: stock, check-only, 2/2 SERVING",
		"reused-static-service-0: stock, ours occupant-0, 1/2 DEGRADED",
		"reused-static-instance-0: stock, ours registered, 3/3 SERVING",
	}
	var got []string
	for _, k := range killedTargets(false) {
		got = append(got, describe(k))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if n := len(killedTargets(true)); n != 8 {
		t.Errorf("%d targets move, want the 8 leased ones", n)
	}
}

func describe(k *killedTarget) string {
	g := k.occupantGroup()
	occupant := g.Kind
	switch id, registered := k.occupantID(); {
	case registered:
		occupant += " registered"
	case id.Service != k.service().Service:
		occupant += " " + id.Service
	}
	up, all := k.routable()
	return fmt.Sprintf("%s: %s, %s, %d/%d %s", k.service(), k.group().Kind, occupant, up, all, serviceState(up, all))
}

// TestKilledTargetAddresses checks that the occupant has the old address, and that the
// target returns there unless it moves. All names differ.
func TestKilledTargetAddresses(t *testing.T) {
	names := map[health.ID]bool{}
	for _, moves := range []bool{true, false} {
		for _, k := range killedTargets(moves) {
			k.address = "127.0.0.1:7"
			again, occupant, partner := k.againGroup(), k.occupantGroup(), k.partnerGroup()
			if again.first() != k.id() || (again.address(0) == anyPort) != moves || occupant.At[0] != k.address {
				t.Errorf("%s returns as %s at %s, its occupant is at %s", k.id(), again.first(), again.address(0), occupant.At[0])
			}
			ids := []health.ID{k.id(), partner.first()}
			if id, registered := k.occupantID(); registered {
				ids = append(ids, id)
			}
			for _, id := range ids {
				if names[id] || id.Service != k.id().Service {
					t.Errorf("%s is used twice, or does not belong to %s", id, k.service())
				}
				names[id] = true
			}
		}
	}
}

func TestRoutableOf(t *testing.T) {
	n := &pb.Counts{Serving: 1, Degraded: 2, NotServing: 3, Unknown: 4, Starting: 5, Draining: 6, Maintenance: 7, Counted: 8, Unconfirmed: 9}
	if up, all := routableOf(n); up != 3 || all != 28 {
		t.Errorf("%d of %d, want 3 of 28", up, all)
	}
	if up, all := routableOf(nil); up != 0 || all != 0 {
		t.Errorf("%d of %d without counts", up, all)
	}
}

// TestForeignCauses checks that only one service is compared, and that a failure that
// the target reports is no foreign cause.
func TestForeignCauses(t *testing.T) {
	payB := health.ID{Service: "pay", Instance: "b"}
	shop := health.ID{Service: "shop", Instance: "a"}
	c := &Case{
		Truths: []Truth{{ID: payA}, {ID: shop}, {ID: payB}, {ID: health.ID{Service: "pay"}}},
		Seen: []Seen{
			{ID: payA, State: notServing, Cause: "failed"},
			{ID: payB, State: notServing, Cause: "unreachable"},
			{ID: payB, State: unknown, Cause: "unreachable"},
			{ID: shop, State: notServing, Cause: "refused"},
			{ID: health.ID{Service: "pay"}, State: notServing, Cause: "dependency"},
		},
	}
	pay := c.ofService("pay")
	if len(pay.Truths) != 2 || len(pay.Seen) != 3 || len(c.Truths) != 4 || len(c.Seen) != 5 {
		t.Errorf("%v of %v", pay, c)
	}
	if n := foreignCauses(pay.Seen); n != 1 {
		t.Errorf("%d with another cause, want 1", n)
	}
}
