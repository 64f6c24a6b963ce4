package routing_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/routing"
)

var routesByLetter = map[byte]health.Route{
	'0': health.RouteNone, 'H': health.RouteHealthy, 'D': health.RouteDegraded,
	'U': health.RouteUnhealthy, 'X': health.RouteDraining, '2': health.RouteDuplicate,
}

// parse returns the endpoints in a text such as "H@eu/a*3 D". An endpoint is a letter of
// routesByLetter, a region with a zone, and a weight.
func parse(text string) []routing.Endpoint {
	var all []routing.Endpoint
	for i, word := range strings.Fields(text) {
		e := routing.Endpoint{
			Instance: fmt.Sprintf("i%02d", i), Route: routesByLetter[word[0]], Weight: 1,
			Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80),
		}
		word, weight, weighted := strings.Cut(word[1:], "*")
		if weighted {
			_, _ = fmt.Sscan(weight, &e.Weight)
		}
		e.Region, e.Zone, _ = strings.Cut(strings.TrimPrefix(word, "@"), "/")
		all = append(all, e)
	}
	return all
}

// printed returns localities as a text such as "p0 eu/a 10000: i00 i01; p1 eu/a/degraded 10000: i02".
func printed(endpoints []routing.Endpoint, localities []routing.Locality) string {
	var all []string
	for _, l := range localities {
		place := strings.Trim(l.Region+"/"+l.Zone+"/"+l.SubZone, "/")
		names := ""
		for _, i := range l.Endpoints {
			names += " " + endpoints[i].Instance
		}
		all = append(all, fmt.Sprintf("p%d %s %d:%s", l.Priority, place, l.Weight, names))
	}
	return strings.Join(all, "; ")
}

func TestRenderings(t *testing.T) {
	for _, c := range []struct{ endpoints, spillOver, plain string }{
		{"", "", ""},
		{"0 2", "", ""},
		{"H", "p0  10000: i00", "p0  10000: i00"},
		{"D", "p0  10000: i00", "p0 degraded 10000: i00"},
		{"U X", "p0  10000: i00 i01", ""},
		{"H U", "p0  10000: i00 i01", "p0  10000: i00"},
		{"H@eu/a H@eu/b H@eu/b", "p0 eu/a 3333: i00; p0 eu/b 6667: i01 i02", "p0 eu/a 3333: i00; p0 eu/b 6667: i01 i02"},
		{"H@eu/a*3 H@eu/b", "p0 eu/a 7500: i00; p0 eu/b 2500: i01", "p0 eu/a 7500: i00; p0 eu/b 2500: i01"},
		// Half is healthy: 140 % of a half is 70 %.
		{"H D", "p0  10000: i00 i01", "p0  7000: i00; p0 degraded 3000: i01"},
		// The share follows the number of endpoints, and not their weight.
		{"H*128 D", "p0  10000: i00 i01", "p0  7000: i00; p0 degraded 3000: i01"},
		{"H D D D D D D D D D D", "p0  10000: i00 i01 i02 i03 i04 i05 i06 i07 i08 i09 i10", "p0  1273: i00; p0 degraded 8727: i01 i02 i03 i04 i05 i06 i07 i08 i09 i10"},
		// At 5 of 7 the healthy endpoints take everything.
		{"H H H H H D D", "p0  10000: i00 i01 i02 i03 i04 i05 i06", "p0  10000: i00 i01 i02 i03 i04; p1 degraded 10000: i05 i06"},
		{"H H D", "p0  10000: i00 i01 i02", "p0  9333: i00 i01; p0 degraded 667: i02"},
		// The share is that of the whole service: a zone with degraded endpoints only gets the rest.
		{"H@eu/a D@eu/b", "p0 eu/a 5000: i00; p0 eu/b 5000: i01", "p0 eu/a 7000: i00; p0 eu/b/degraded 3000: i01"},
		{"D@eu/a D@eu/b", "p0 eu/a 5000: i00; p0 eu/b 5000: i01", "p0 eu/a/degraded 5000: i00; p0 eu/b/degraded 5000: i01"},
		{"H@eu/a H@eu/a H@eu/a D@eu/b", "p0 eu/a 7500: i00 i01 i02; p0 eu/b 2500: i03", "p0 eu/a 10000: i00 i01 i02; p1 eu/b/degraded 10000: i03"},
		{"H@eu/b H@as/a U@eu/c", "p0 as/a 3333: i01; p0 eu/b 3333: i00; p0 eu/c 3333: i02", "p0 as/a 5000: i01; p0 eu/b 5000: i00"},
	} {
		endpoints := parse(c.endpoints)
		if got := printed(endpoints, routing.SpillOver(endpoints)); got != c.spillOver {
			t.Errorf("%q, spill-over:\n%s\nwant\n%s", c.endpoints, got, c.spillOver)
		}
		if got := printed(endpoints, routing.Plain(endpoints)); got != c.plain {
			t.Errorf("%q, plain:\n%s\nwant\n%s", c.endpoints, got, c.plain)
		}
	}
}

// TestSmallestWeight checks that a locality never has the weight 0, for which gRPC drops it.
func TestSmallestWeight(t *testing.T) {
	endpoints := parse("H@a/a " + strings.Repeat("H@b/b*128 ", 200))
	l := routing.Plain(endpoints)
	if len(l) != 2 || l[0].Weight != 1 || l[1].Weight != routing.WeightScale {
		t.Errorf("%v", printed(endpoints, l))
	}
}

// TestOneAddress checks that of several endpoints at one address, the best one is rendered.
func TestOneAddress(t *testing.T) {
	for _, c := range []struct{ endpoints, spillOver, plain string }{
		{"H H", "p0  10000: i00", "p0  10000: i00"},
		{"U H", "p0  10000: i01", "p0  10000: i01"},
		{"D H", "p0  10000: i01", "p0  10000: i01"},
		{"U D X", "p0  10000: i01", "p0 degraded 10000: i01"},
		{"U X", "p0  10000: i01", ""},
		{"0 D", "p0  10000: i01", "p0 degraded 10000: i01"},
	} {
		endpoints := parse(c.endpoints)
		for i := range endpoints {
			endpoints[i].Address = netip.MustParseAddrPort("10.0.0.1:80")
		}
		endpoints[0].Address = netip.MustParseAddrPort("[::ffff:10.0.0.1]:80") // the same address
		if got := printed(endpoints, routing.SpillOver(endpoints)); got != c.spillOver {
			t.Errorf("%q, spill-over: %s, want %s", c.endpoints, got, c.spillOver)
		}
		if got := printed(endpoints, routing.Plain(endpoints)); got != c.plain {
			t.Errorf("%q, plain: %s, want %s", c.endpoints, got, c.plain)
		}
	}
}

// TestNoAddress checks that an endpoint that cannot be dialled is left out.
func TestNoAddress(t *testing.T) {
	endpoints := parse("H H H")
	endpoints[0].Address = netip.AddrPort{}
	endpoints[2].Address = netip.MustParseAddrPort("10.0.0.1:0")
	for _, l := range [][]routing.Locality{routing.SpillOver(endpoints), routing.Plain(endpoints)} {
		if got := printed(endpoints, l); got != "p0  10000: i01" {
			t.Error(got)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	endpoints := parse(strings.Repeat("H@eu/a H@eu/b D@eu/a ", 3334))
	for i := range endpoints {
		endpoints[i].Instance = fmt.Sprintf("i%05d", i)
		endpoints[i].Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
	}
	slices.SortFunc(endpoints, func(a, b routing.Endpoint) int { return strings.Compare(a.Instance, b.Instance) })
	b.Run("SpillOver", func(b *testing.B) {
		for b.Loop() {
			routing.SpillOver(endpoints)
		}
	})
	b.Run("Plain", func(b *testing.B) {
		for b.Loop() {
			routing.Plain(endpoints)
		}
	})
}
