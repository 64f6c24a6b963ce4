package orca_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/weightedroundrobin"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/orca"
)

const callEvery = 100 * time.Millisecond

// balanced is a client with weighted_round_robin over some backends.
type balanced struct {
	t        *testing.T
	conn     *grpc.ClientConn
	backends []*backend
}

// balance dials the backends. settings are fields of the configuration of weighted_round_robin.
func balance(t *testing.T, backends []*backend, settings string) *balanced {
	t.Helper()
	m := manual.NewBuilderWithScheme("test")
	state := resolver.State{}
	byAddress := map[string]*backend{}
	for i, b := range backends {
		name := fmt.Sprint("backend-", i)
		byAddress[name] = b
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: name}}})
	}
	m.InitialState(state)
	conn, err := grpc.NewClient("test:///payments", grpc.WithResolvers(m),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"weighted_round_robin": {`+settings+`}}]}`),
		grpc.WithContextDialer(func(ctx context.Context, name string) (net.Conn, error) {
			return byAddress[name].listener.DialContext(ctx)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &balanced{t: t, conn: conn, backends: backends}
	c.shares(time.Second) // connects to all backends
	return c
}

// shares makes 10 calls per second for a while. It returns the share of each backend in percent.
func (c *balanced) shares(d time.Duration) []float64 {
	c.t.Helper()
	before := make([]int64, len(c.backends))
	for i, b := range c.backends {
		before[i] = b.served.Load()
	}
	calls := int(d / callEvery)
	for range calls {
		if err := c.conn.Invoke(c.t.Context(), method, wrapperspb.UInt32(0), &emptypb.Empty{}); err != nil {
			c.t.Fatal(err)
		}
		time.Sleep(callEvery)
	}
	shares := make([]float64, len(c.backends))
	for i, b := range c.backends {
		shares[i] = 100 * float64(b.served.Load()-before[i]) / float64(calls)
	}
	return shares
}

// wants fails the test unless each backend has its share in percent, within the tolerance.
func (c *balanced) wants(when string, tolerance float64, want ...float64) {
	c.t.Helper()
	got := c.shares(100 * time.Second)
	c.t.Logf("%s: %.1f %%", when, got)
	for i := range want {
		if d := got[i] - want[i]; d < -tolerance || d > tolerance {
			c.t.Errorf("%s: the shares are %.1f, want %.1f within %v %%", when, got, want, tolerance)
			return
		}
	}
}

// TestWeightedRoundRobin: a client of grpc-go with weighted_round_robin sends a degraded
// instance less, by reports in trailers and out of band. When all are degraded, each has its share
// again.
func TestWeightedRoundRobin(t *testing.T) {
	for name, c := range map[string]struct {
		settings   string
		noTrailers bool
	}{
		"in trailers": {`"blackoutPeriod": "1s"`, false},
		"out of band": {`"blackoutPeriod": "1s", "enableOobLoadReport": true, "oobReportingPeriod": "30s"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var servers []*server.Server
				var backends []*backend
				for range 3 {
					s := newServer(t)
					set(t, s, health.Serving)
					r, err := orca.New(orca.Config{Server: s, Capacity: 20, NoTrailers: c.noTrailers})
					if err != nil {
						t.Fatal(err)
					}
					servers, backends = append(servers, s), append(backends, newBackend(t, s, r))
				}
				client := balance(t, backends, c.settings)
				settle := func() { client.shares(65 * time.Second) } // two reports out of band
				settle()
				client.wants("all SERVING", 1, 100./3, 100./3, 100./3)
				set(t, servers[0], health.Degraded)
				settle()
				client.wants("one DEGRADED", 1, 100./15, 700./15, 700./15)
				set(t, servers[1], health.Degraded)
				settle()
				client.wants("two DEGRADED", 1, 100./9, 100./9, 700./9)
				set(t, servers[2], health.Degraded)
				settle()
				client.wants("all DEGRADED", 1, 100./3, 100./3, 100./3)
				set(t, servers[0], health.Serving)
				set(t, servers[1], health.Serving)
				set(t, servers[2], health.Serving)
				settle()
				client.wants("all SERVING again", 1, 100./3, 100./3, 100./3)
			})
		})
	}
}

// TestWeightedRoundRobinByGauge: a gauge that follows the load, such as that of the CPU, has the
// same effect.
func TestWeightedRoundRobinByGauge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var servers []*server.Server
		var backends []*backend
		for i := range 2 {
			s := newServer(t)
			r, err := orca.New(orca.Config{Server: s, CPU: orca.Gauge{Check: "cpu", Full: 100}, DegradedFactor: 4})
			if err != nil {
				t.Fatal(err)
			}
			b := newBackend(t, s, r)
			servers, backends = append(servers, s), append(backends, b)
			cost := float64(i + 1) // a call costs twice as much on the second instance
			var last atomic.Int64
			err = s.Add(server.Check{Name: "cpu", Every: 5 * time.Second, Run: func(ctx context.Context) error {
				now := b.served.Load()
				server.Observe(ctx, float64(now-last.Swap(now))*cost, "%")
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			run(t, s)
		}
		client := balance(t, backends, `"blackoutPeriod": "1s"`)
		client.shares(100 * time.Second)
		client.wants("both SERVING", 8, 200./3, 100./3)
		set(t, servers[0], health.Degraded)
		client.shares(100 * time.Second)
		client.wants("the first DEGRADED", 8, 100./3, 200./3) // 1/4 of its weight: 2/4 to 1
	})
}
