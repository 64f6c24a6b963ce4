package routing_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/routing"
	"github.com/meshhealth/meshhealth/internal/transcript"
)

// decode makes endpoints from bytes, three for each endpoint.
func decode(data []byte) []routing.Endpoint {
	var all []routing.Endpoint
	for i := 0; i+2 < len(data); i += 3 {
		a, b, c := data[i], data[i+1], data[i+2]
		all = append(all, routing.Endpoint{
			Instance: fmt.Sprintf("i%03d", i/3),
			Address:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, b}), uint16(b%17)),
			Weight:   uint32(c), Region: string('r' + rune(a>>6)), Zone: string('z' - rune(a>>4&3)),
			Route: health.Route(a % 6),
		})
	}
	return all
}

// check compares both renderings of the endpoints with what their definition says.
func check(data []byte) error {
	endpoints := decode(data)
	for _, r := range []struct {
		name    string
		render  func([]routing.Endpoint) []routing.Locality
		weights func([]routing.Endpoint) map[place]float64
	}{
		{"spill-over", routing.SpillOver, spillOverWeights},
		{"plain", routing.Plain, plainWeights},
	} {
		got := r.render(endpoints)
		if err := compare(endpoints, got, r.weights(rendered(endpoints, r.name == "plain"))); err != nil {
			return fmt.Errorf("%s: %w\n%s", r.name, err, printed(endpoints, got))
		}
		mixed := slices.Clone(endpoints)
		rand.New(rand.NewPCG(uint64(len(data)), 1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if a, b := printed(endpoints, got), printed(mixed, r.render(mixed)); a != b {
			return fmt.Errorf("%s: depends on the order of the endpoints:\n%s\n%s", r.name, a, b)
		}
	}
	return nil
}

// place names a locality with its priority.
type place struct {
	region, zone, subZone string
	priority              uint32
}

// rendered returns the endpoints of a rendering, at most one for each address.
func rendered(endpoints []routing.Endpoint, plain bool) []routing.Endpoint {
	order := []health.Route{health.RouteHealthy, health.RouteDegraded, health.RouteDraining, health.RouteUnhealthy}
	if plain {
		order = order[:2]
	}
	byAddress := map[netip.AddrPort]routing.Endpoint{}
	for _, route := range slices.Backward(order) {
		for _, e := range slices.Backward(endpoints) {
			if e.Route == route && e.Address.Port() != 0 {
				byAddress[e.Address] = e
			}
		}
	}
	var all []routing.Endpoint
	for _, e := range byAddress {
		all = append(all, e)
	}
	return all
}

func weightOf(e routing.Endpoint) float64 {
	return float64(min(max(e.Weight, 1), health.MaxWeight))
}

func spillOverWeights(endpoints []routing.Endpoint) map[place]float64 {
	sums, total := map[place]float64{}, 0.0
	for _, e := range endpoints {
		sums[place{e.Region, e.Zone, "", 0}] += weightOf(e)
		total += weightOf(e)
	}
	for p := range sums {
		sums[p] *= 10_000 / total
	}
	return sums
}

func plainWeights(endpoints []routing.Endpoint) map[place]float64 {
	var healthy, degraded, healthySum, degradedSum float64
	for _, e := range endpoints {
		if e.Route == health.RouteHealthy {
			healthy, healthySum = healthy+1, healthySum+weightOf(e)
		} else {
			degraded, degradedSum = degraded+1, degradedSum+weightOf(e)
		}
	}
	share := min(100, 140*healthy/(healthy+degraded))
	weights := map[place]float64{}
	for _, e := range endpoints {
		switch {
		case e.Route == health.RouteHealthy:
			weights[place{e.Region, e.Zone, "", 0}] += weightOf(e) / healthySum * share * 100
		case share == 100:
			weights[place{e.Region, e.Zone, "degraded", 1}] += weightOf(e) / degradedSum * 10_000
		default:
			weights[place{e.Region, e.Zone, "degraded", 0}] += weightOf(e) / degradedSum * (100 - share) * 100
		}
	}
	return weights
}

// compare checks the localities, their weights and their endpoints.
func compare(endpoints []routing.Endpoint, got []routing.Locality, weights map[place]float64) error {
	if len(got) != len(weights) {
		return fmt.Errorf("has %d localities, want %d", len(got), len(weights))
	}
	addresses := map[netip.AddrPort]bool{}
	for i, l := range got {
		want, ok := weights[place{l.Region, l.Zone, l.SubZone, l.Priority}]
		if !ok || l.Weight < 1 || math.Abs(float64(l.Weight)-max(1, want)) > 0.501 {
			return fmt.Errorf("locality %d has the weight %d, want %.1f", i, l.Weight, want)
		}
		if len(l.Endpoints) == 0 || !slices.IsSortedFunc(l.Endpoints, func(a, b int) int {
			return cmp.Compare(endpoints[a].Instance, endpoints[b].Instance)
		}) {
			return fmt.Errorf("locality %d has the endpoints %v", i, l.Endpoints)
		}
		for _, at := range l.Endpoints {
			e := endpoints[at]
			if e.Region != l.Region || e.Zone != l.Zone || addresses[e.Address] {
				return fmt.Errorf("locality %d has the endpoint %v", i, e)
			}
			addresses[e.Address] = true
		}
	}
	return noGap(got)
}

// noGap checks that there is no locality with priority 1 without one with priority 0.
func noGap(got []routing.Locality) error {
	if len(got) > 0 && got[0].Priority != 0 {
		return fmt.Errorf("priority 0 is empty")
	}
	return nil
}

func TestProperties(t *testing.T) {
	transcript.Inputs(t, 18, 20_000, 0, 90, check)
}

// TestPure checks that a rendering changes none of its arguments, and gives the same result again.
func TestPure(t *testing.T) {
	endpoints := parse("D H@eu/a*9 U H@as/b")
	before := slices.Clone(endpoints)
	if !reflect.DeepEqual(routing.Plain(endpoints), routing.Plain(endpoints)) || !reflect.DeepEqual(endpoints, before) {
		t.Errorf("the endpoints were changed: %v", endpoints)
	}
}

func FuzzRender(f *testing.F) {
	f.Add([]byte{1, 1, 1, 2, 2, 2})
	f.Add([]byte{65, 3, 200, 66, 4, 7, 131, 5, 9})
	transcript.Fuzz(f, 3*64, check)
}
