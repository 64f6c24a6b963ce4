package resolver

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/endpointsharding"
	"google.golang.org/grpc/experimental/balancer/weight"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/routing"
)

// someEndpoints returns random endpoints in a few zones.
func someEndpoints(random *rand.Rand) []routing.Endpoint {
	list := make([]routing.Endpoint, 1+random.IntN(30))
	for i := range list {
		list[i] = routing.Endpoint{
			Instance: fmt.Sprint(i), Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 1),
			Weight: 1 + uint32(random.IntN(health.MaxWeight)), Region: fmt.Sprint(random.IntN(3)), Zone: fmt.Sprint(random.IntN(4)),
			Route: health.RouteHealthy,
		}
		if random.IntN(3) == 0 {
			list[i].Route = health.RouteDegraded
		}
	}
	return list
}

// TestPreference: wherever the caller is, no instance gets more than 1.4 times its part without
// preference. The degraded instances get the same part in sum. The caller's zone gets no less.
func TestPreference(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		caller := place{region: fmt.Sprint(random.IntN(4)), zone: fmt.Sprint(random.IntN(5))}
		if random.IntN(4) == 0 {
			caller.region = ""
		}
		var base, preferred [2][2]float64 // by priority and degraded
		list := route(someEndpoints(random), caller)
		for _, r := range list {
			d := 0
			if r.degraded {
				d = 1
			}
			base[r.priority][d] += float64(r.weight)
			preferred[r.priority][d] += float64(r.preferred)
			if limit := 1.4*float64(r.weight) + 2; float64(r.preferred) > limit {
				t.Fatalf("%+v: %+v has more than %.0f", caller, r, limit)
			}
			if r.distance == sameZone && r.preferred+2 < r.weight {
				t.Fatalf("%+v: %+v is in the zone of the caller and has less", caller, r)
			}
		}
		for p := range base {
			for d, sum := range base[p] {
				if math.Abs(sum-preferred[p][d]) > float64(len(list)) {
					t.Fatalf("%+v: the sum %.0f becomes %.0f", caller, sum, preferred[p][d])
				}
			}
		}
	}
}

// TestPreferenceOfAZone: each zone gets 1.4 times its part, the nearest first, until nothing is left.
func TestPreferenceOfAZone(t *testing.T) {
	at := func(region, zone string, weight uint32) routing.Locality {
		return routing.Locality{Region: region, Zone: zone, Weight: weight}
	}
	group := []routing.Locality{at("eu", "a", 1000), at("eu", "b", 3000), at("us", "a", 6000)}
	for caller, want := range map[place][numDistances]float64{
		{}:             {0, 0, 1},
		{"eu", "a"}:    {1.4, 1.4, 4400. / 6000},
		{"us", "a"}:    {1.4, 0, 1600. / 4000},
		{"eu", "none"}: {0, 1.4, 4400. / 6000},
		{"none", "a"}:  {0, 0, 1},
		{"", "a"}:      {1.4, 0, 200. / 3000},
	} {
		got := caller.preferred(group)
		for d := range got {
			if math.Abs(got[d]-want[d]) > 1e-9 {
				t.Errorf("%+v: %v, want %v", caller, got, want)
				break
			}
		}
	}
}

// drawing returns a draw for each channel.
func drawing(channel int) draw {
	return func(text string) float64 {
		h := uint64(channel)
		for _, b := range []byte(text) {
			h = h*1000003 + uint64(b) + 1
		}
		return rand.New(rand.NewPCG(h, 0)).Float64()
	}
}

// TestSubsetShare: on average over channels, equal traffic for each instance of the list gives the
// degraded instances their share. A channel of pick_first starts with a degraded one as often.
func TestSubsetShare(t *testing.T) {
	const channels = 5000
	for _, c := range []struct{ healthy, degraded int }{{1, 1}, {1, 9}, {3, 7}, {5, 5}, {7, 3}, {8, 2}, {0, 4}, {4, 0}} {
		endpoints := make([]routing.Endpoint, c.healthy+c.degraded)
		for i := range endpoints {
			endpoints[i] = routing.Endpoint{
				Instance: fmt.Sprint(i), Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 1),
				Weight: 1, Route: health.RouteHealthy,
			}
			if i >= c.healthy {
				endpoints[i].Route = health.RouteDegraded
			}
		}
		all := route(endpoints, place{})
		var degraded, first int
		for channel := range channels {
			list := bySubset(all, drawing(channel))
			for _, w := range list {
				if w.degraded {
					degraded++
				}
			}
			if list[0].degraded {
				first++
			}
		}
		n := float64(c.healthy + c.degraded)
		share := max(0, 1-1.4*float64(c.healthy)/n)
		size := n / 1.4
		if share == 0 || c.healthy == 0 {
			size = n
		}
		want := max(0, size-float64(c.healthy))
		if share == 0 {
			want = 0
		}
		// The bounds are six standard deviations: 6 × √(0.25 ÷ 5000).
		const most = 0.0424
		if got := float64(degraded) / channels; math.Abs(got-want) > most {
			t.Errorf("%+v: a channel has %.3f degraded instances, want %.3f", c, got, want)
		}
		if got := float64(first) / channels; math.Abs(got-share) > most {
			t.Errorf("%+v: %.3f of the channels start with a degraded instance, want %.3f", c, got, share)
		}
	}
}

// TestSubsetStays: when one instance comes or goes, the lists of channels change by few instances.
func TestSubsetStays(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for channel := range 500 {
		endpoints := someEndpoints(random)
		before := names(bySubset(route(endpoints, place{}), drawing(channel)))
		after := names(bySubset(route(endpoints[:len(endpoints)-1], place{}), drawing(channel)))
		changed := 0
		for name := range before {
			if !after[name] {
				changed++
			}
		}
		if changed > 3 {
			t.Fatalf("without one instance, %d leave the list", changed)
		}
	}
}

func names(list []weighted) map[string]bool {
	set := map[string]bool{}
	for _, w := range list {
		set[w.instance] = true
	}
	return set
}

// TestByWeights: the list for ring_hash has positive weights whose sum fits into 32 bits. It is the same
// for all callers, and has no instance with priority 1.
func TestByWeights(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		endpoints := someEndpoints(random)
		here, there := byWeights(route(endpoints, place{"1", "1"})), byWeights(route(endpoints, place{}))
		var sum uint64
		for i, w := range here {
			e := w.endpoint(w.weight)
			sum += uint64(w.weight)
			if w.weight == 0 || w.priority > 0 || weight.FromEndpoint(e).Weight != w.weight || w.weight != there[i].weight || w.instance != there[i].instance {
				t.Fatalf("%+v and %+v", w, there[i])
			}
		}
		if sum > math.MaxUint32 || len(here) != len(there) {
			t.Fatalf("the sum of %d and %d weights is %d", len(here), len(there), sum)
		}
	}
}

// numbered is a picker that reports its number.
type numbered struct {
	n    int
	last *int
}

func (p numbered) Pick(balancer.PickInfo) (balancer.PickResult, error) {
	*p.last = p.n
	return balancer.PickResult{}, nil
}

// TestPicker: any number of calls in a row is divided by the weights, with an error of a few calls.
func TestPicker(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	const calls, most = 30_000, 12
	for range 30 {
		var last int
		var sum float64
		children := make([]endpointsharding.ChildState, 1+random.IntN(20))
		weights := make([]float64, len(children))
		for i := range children {
			w := 1 + random.Uint32N(1_000_000)
			weights[i] = float64(w)
			sum += weights[i]
			children[i].Endpoint.Attributes = children[i].Endpoint.Attributes.WithValue(sharedKey{}, shared{weight: w})
			children[i].State.Picker = numbered{i, &last}
		}
		p := newPicker(children)
		counts := make([]float64, len(children))
		for range calls {
			if _, err := p.Pick(balancer.PickInfo{}); err != nil {
				t.Fatal(err)
			}
			counts[last]++
		}
		for i := range counts {
			if want := calls * weights[i] / sum; math.Abs(counts[i]-want) > most {
				t.Errorf("weight %.0f of %.0f: %.0f calls, want %.0f ± %d", weights[i], sum, counts[i], want, most)
			}
		}
	}
}
