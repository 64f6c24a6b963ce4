package resolver_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/ringhash"
	_ "google.golang.org/grpc/balancer/weightedroundrobin"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/client/resolver"
	"github.com/meshhealth/meshhealth/health"
)

// bubble runs f as a subtest with a coordinator that runs.
func bubble(t *testing.T, what string, f func(*testing.T, *rig)) {
	t.Run(what, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.startCoordinator()
			f(t, r)
		})
	})
}

// many starts instances of the service pay: first healthy ones, then degraded ones. Their names are
// their numbers from 0.
func (r *rig) many(healthy, degraded int) []*backend {
	r.t.Helper()
	var all []*backend
	for i := range healthy + degraded {
		b := r.start(client.Instance{Service: "pay", Instance: fmt.Sprint(i), Address: fmt.Sprintf("127.0.0.1:%d", 9000+i)})
		if i >= healthy {
			b.set(health.Degraded)
		}
		all = append(all, b)
	}
	settle()
	return all
}

// near reports an error if got differs from want by more than most.
func near(t *testing.T, what string, got, want, most float64) {
	t.Helper()
	if math.Abs(got-want) > most {
		t.Errorf("%s: %.1f, want %.1f ± %.1f", what, got, want, most)
	}
}

// TestUsableOnly: whatever the policy, only instances that are SERVING or DEGRADED get calls. An IPv6
// address is one of them.
func TestUsableOnly(t *testing.T) {
	for policy := range policies {
		bubble(t, policy, func(t *testing.T, r *rig) {
			a := r.start(client.Instance{Service: "pay", Instance: "a", Address: "127.0.0.1:9001"})
			b := r.start(client.Instance{Service: "pay", Instance: "b", Address: "[::1]:9002"})
			c := r.start(client.Instance{Service: "pay", Instance: "c", Address: "127.0.0.1:9003"})
			r.start(client.Instance{Service: "other", Instance: "x", Address: "127.0.0.1:9004"})
			a.set(health.NotServing)
			c.set(health.Maintenance)
			settle()
			conn := r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", policy)
			if got := r.counts(conn, 100); got["b"] != 100 {
				r.t.Errorf("only b is SERVING; calls went to %v", got)
			}
			a.set(health.Serving)
			b.set(health.NotServing)
			settle()
			if got := r.counts(conn, 100); got["a"] != 100 {
				r.t.Errorf("only a is SERVING now; calls went to %v", got)
			}
		})
	}
}

// TestShare: the policy meshhealth gives the degraded instances what the healthy ones cannot take,
// which is 100 − 140 × healthy ÷ all percent.
func TestShare(t *testing.T) {
	const calls = 2000
	for _, c := range []struct {
		healthy, degraded int
		want              float64 // percent of the calls that the healthy instances get
	}{
		{1, 9, 14}, {5, 5, 70}, {7, 3, 98}, {8, 2, 100}, {0, 3, 0}, {3, 0, 100},
	} {
		bubble(t, fmt.Sprintf("%d healthy, %d degraded", c.healthy, c.degraded), func(t *testing.T, r *rig) {
			r.many(c.healthy, c.degraded)
			got := r.counts(r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", "meshhealth"), calls)
			const most = 8 // calls; the picker divides calls almost exactly
			for i := range c.healthy + c.degraded {
				want := calls * c.want / 100 / float64(c.healthy)
				if i >= c.healthy {
					want = calls * (100 - c.want) / 100 / float64(c.degraded)
				}
				near(t, fmt.Sprintf("calls of instance %d", i), float64(got[fmt.Sprint(i)]), want, most)
			}
		})
	}
}

// TestWeights: the policy meshhealth follows the weights of instances.
func TestWeights(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		for i, weight := range []uint32{0, 3, 16} {
			r.start(client.Instance{
				Service: "pay", Instance: fmt.Sprint(i), Address: fmt.Sprintf("127.0.0.1:%d", 9000+i),
				Traffic: health.Traffic{Weight: weight},
			})
		}
		settle()
		got := r.counts(r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", "meshhealth"), 2000)
		for i, want := range []float64{100, 300, 1600} {
			near(t, fmt.Sprintf("calls of instance %d", i), float64(got[fmt.Sprint(i)]), want, 8)
		}
	})
}

// TestFallback: if no healthy instance can be connected to, the policy meshhealth uses the degraded ones,
// which have no share otherwise.
func TestFallback(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		r.many(3, 1)
		for i := range 3 {
			r.net.Fail(fmt.Sprintf("127.0.0.1:%d", 9000+i), fmt.Errorf("unreachable for callers"))
		}
		conn := r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", "meshhealth")
		if got := r.counts(conn, 100); got["3"] != 100 {
			t.Errorf("only the degraded instance can be reached; calls went to %v", got)
		}
	})
}

// TestSubset: round_robin divides calls equally. So each channel gets all healthy instances, and a part
// of the degraded ones: 10 ÷ 1.4 − 3 = 4.14 of 7 on average.
func TestSubset(t *testing.T) {
	for _, policy := range []string{"round_robin", "weighted_round_robin"} {
		bubble(t, policy, func(t *testing.T, r *rig) {
			r.many(3, 7)
			res := r.resolver(resolver.Config{})
			everywhere := map[string]int{} // channels that use the instance
			for range 20 {
				conn := r.dial(res, "meshhealth:///pay", policy)
				got := r.counts(conn, 100)
				for name := range got {
					everywhere[name]++
				}
				if n := len(got) - 3; n != 4 && n != 5 || got["0"] == 0 || got["1"] == 0 || got["2"] == 0 {
					t.Errorf("calls went to %v, want 0, 1, 2 and 4 or 5 others", got)
				}
				_ = conn.Close()
			}
			for i := 3; i < 10; i++ { // the chance that 20 channels leave out one instance is below 10⁻⁶
				if everywhere[fmt.Sprint(i)] == 0 {
					t.Errorf("no channel uses the degraded instance %d: %v", i, everywhere)
				}
			}
		})
	}
}

// TestZones: the policy meshhealth prefers its zone by a factor of 1.4, then its region. pick_first uses
// its zone, then its region, then another region.
func TestZones(t *testing.T) {
	zones := []string{"eu/a", "eu/b", "eu/c", "us/a"}
	bubble(t, "", func(t *testing.T, r *rig) {
		var all []*backend
		for i, at := range zones {
			all = append(all, r.start(client.Instance{
				Service: "pay", Instance: at[:2] + "-" + at[3:], Address: fmt.Sprintf("127.0.0.1:%d", 9000+i), Region: at[:2], Zone: at[3:],
			}))
		}
		settle()
		res := r.resolver(resolver.Config{Region: "eu", Zone: "a"})
		got := r.counts(r.dial(res, "meshhealth:///pay", "meshhealth"), 4000)
		// eu-a gets 1.4 × 25 %, and so do eu-b and eu-c until nothing is left: 32.5 % each.
		for name, want := range map[string]float64{"eu-a": 1400, "eu-b": 1300, "eu-c": 1300, "us-a": 0} {
			near(t, name, float64(got[name]), want, 8)
		}
		got = r.counts(r.dial(res, "meshhealth:///pay?region=us&zone=a", "meshhealth"), 4000)
		for name, want := range map[string]float64{"us-a": 1400, "eu-a": 867, "eu-b": 867, "eu-c": 867} {
			near(t, name, float64(got[name]), want, 8)
		}
		first := r.dial(res, "meshhealth:///pay?region=us&zone=z", "pick_first")
		if got := r.counts(first, 10); got["us-a"] != 10 {
			t.Errorf("pick_first in us: %v", got)
		}
		first = r.dial(res, "meshhealth:///pay", "pick_first")
		if got := r.counts(first, 10); got["eu-a"] != 10 {
			t.Errorf("pick_first in eu/a: %v", got)
		}
		all[0].set(health.NotServing)
		settle()
		if got := r.counts(first, 10); got["eu-b"]+got["eu-c"] != 10 {
			t.Errorf("pick_first in eu/a without eu-a: %v", got)
		}
	})
}

// TestRingHash: with share=weights, all channels send a key to the same instance, wherever they are. The
// degraded instances have their share of the keys, as exactly as a hash ring divides them.
func TestRingHash(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		r.many(3, 7)
		res := r.resolver(resolver.Config{})
		here := r.dial(res, "meshhealth:///pay?share=weights&zone=x", "ring_hash_experimental")
		there := r.dial(res, "meshhealth:///pay?share=weights", "ring_hash_experimental")
		const keys = 1000
		degraded := 0
		for i := range keys {
			ctx := metadata.AppendToOutgoingContext(context.Background(), "key", fmt.Sprint("key ", i))
			one, err1 := ask(ctx, here)
			other, err2 := ask(ctx, there)
			if err1 != nil || err2 != nil || one != other {
				t.Fatalf("key %d: %q and %q, %v, %v", i, one, other, err1, err2)
			}
			if one > "2" {
				degraded++
			}
		}
		near(t, "keys of degraded instances", float64(degraded), keys*.58, keys*.07)
	})
}

// TestDuplicateAddress: two instances at one address get the calls of one.
func TestDuplicateAddress(t *testing.T) {
	for policy := range policies {
		bubble(t, policy, func(t *testing.T, r *rig) {
			r.start(client.Instance{Service: "pay", Instance: "a", Address: "127.0.0.1:9001"})
			r.start(client.Instance{Service: "pay", Instance: "b", Address: "127.0.0.1:9002"})
			twin := r.newClient(client.Config{}).RegisterAsync(client.Instance{Service: "pay", Instance: "twin", Address: "127.0.0.1:9001"})
			settle()
			if err := twin.Err(); err != nil {
				t.Fatal(err)
			}
			conn := r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", policy)
			got := r.counts(conn, 100)
			if got["a"]+got["b"] != 100 {
				t.Errorf("calls went to %v", got)
			}
			if policy == "meshhealth" || policy == "round_robin" {
				near(t, "calls of a", float64(got["a"]), 50, 2)
			}
		})
	}
}

// TestServiceConfig: the service config of the Resolver reaches the channel, and a channel can refuse it.
func TestServiceConfig(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		r.many(3, 0)
		res := r.resolver(resolver.Config{ServiceConfig: policies["round_robin"]})
		for policy, want := range map[*grpc.ClientConn]int{
			r.dial(res, "meshhealth:///pay", "pick_first"):                                  3,
			r.dial(res, "meshhealth:///pay", "pick_first", grpc.WithDisableServiceConfig()): 1,
		} {
			if got := r.counts(policy, 30); len(got) != want {
				t.Errorf("calls went to %v, want %d instances", got, want)
			}
		}
		bad := r.dial(r.resolver(resolver.Config{ServiceConfig: "{"}), "meshhealth:///pay", "pick_first")
		if _, err := ask(context.Background(), bad); err == nil {
			t.Error("a call with a service config that is no JSON succeeds")
		} else {
			t.Log(err)
		}
	})
}
