package xds_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
)

const typePrefix = "type.googleapis.com/envoy.config."

var resumedTypes = []string{"listener.v3.Listener", "route.v3.RouteConfiguration", "cluster.v3.Cluster", "endpoint.v3.ClusterLoadAssignment"}

// arrival is a response that a stream has received.
type arrival struct {
	after            time.Duration
	url              string
	present, removed int
}

func afterLoss() xds.Config {
	return xds.Config{SettleAfter: 30 * time.Second, CompleteAfter: 10 * time.Minute}
}

// arrivals collects what a stream receives.
type arrivals struct {
	mu  sync.Mutex
	all []arrival
}

func (a *arrivals) add(one arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, one)
}

// read returns what has arrived once nothing more arrives.
func (a *arrivals) read() []arrival {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

// resumedWorld opens a stream with the state of the world, on which the client says that it has names.
func (w *world) resumedWorld(t *testing.T, ctx context.Context, names ...string) func() []arrival {
	t.Helper()
	s, err := w.client.StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range resumedTypes {
		if err := s.Send(&discoverypb.DiscoveryRequest{Node: &corepb.Node{Id: "w"}, VersionInfo: "0123456789abcdf0", TypeUrl: typePrefix + typ, ResourceNames: names}); err != nil {
			t.Fatal(err)
		}
	}
	begun, all := time.Now(), &arrivals{}
	go func() {
		for {
			m, err := s.Recv()
			if err != nil {
				return
			}
			all.add(arrival{time.Since(begun), m.GetTypeUrl(), len(m.GetResources()), 0})
		}
	}()
	return all.read
}

// resumedDelta opens a stream with the delta protocol, on which the client says that it has names. It
// asks for all resources if wildcard is true.
func (w *world) resumedDelta(t *testing.T, ctx context.Context, wildcard bool, names ...string) func() []arrival {
	t.Helper()
	s, err := w.client.DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range resumedTypes {
		req := &discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: "d"}, TypeUrl: typePrefix + typ, InitialResourceVersions: map[string]string{}}
		for _, name := range names {
			req.InitialResourceVersions[name] = "0123456789abcdf0"
		}
		if !wildcard {
			req.ResourceNamesSubscribe = names
		}
		if err := s.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	begun, all := time.Now(), &arrivals{}
	go func() {
		for {
			m, err := s.Recv()
			if err != nil {
				return
			}
			if n := len(m.GetResources()) + len(m.GetRemovedResources()); n > 0 {
				all.add(arrival{time.Since(begun), m.GetTypeUrl(), len(m.GetResources()), len(m.GetRemovedResources())})
			}
		}
	}()
	return all.read
}

// TestLostStore checks that clients of an earlier run keep a service that has not registered again,
// for as long as its registration may last.
func TestLostStore(t *testing.T) {
	for _, c := range []struct {
		name string
		open func(t *testing.T, ctx context.Context, w *world) func() []arrival
	}{
		{"world", func(t *testing.T, ctx context.Context, w *world) func() []arrival {
			return w.resumedWorld(t, ctx, "pay")
		}},
		{"world, all", func(t *testing.T, ctx context.Context, w *world) func() []arrival {
			return w.resumedWorld(t, ctx, "*", "pay")
		}},
		{"delta", func(t *testing.T, ctx context.Context, w *world) func() []arrival {
			return w.resumedDelta(t, ctx, false, "pay")
		}},
		{"delta, all", func(t *testing.T, ctx context.Context, w *world) func() []arrival {
			return w.resumedDelta(t, ctx, true, "pay")
		}},
	} {
		for _, back := range []bool{true, false} {
			t.Run(c.name, func(t *testing.T) {
				inBubble(t, afterLoss(), func(t *testing.T, w *world) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					w.set("other", 1)
					w.Loaded()
					read := c.open(t, ctx, w)
					time.Sleep(9 * time.Minute)
					for _, a := range read() {
						if a.removed > 0 || a.present == 0 || !strings.Contains(c.name, "all") {
							t.Errorf("before the service is back or its registration has expired: %+v", a)
						}
					}
					before := len(read())
					if back {
						w.set("pay", 1)
						if n := len(read()) - before; n == 0 {
							t.Error("the client gets nothing when the service is back")
						}
						time.Sleep(2 * time.Minute)
						for _, a := range read() {
							if strings.Contains(c.name, "all") && strings.Contains(a.url, "Listener") {
								continue // no listener is part of all
							}
							if a.removed > 0 || a.present == 0 {
								t.Errorf("the service is back: %+v", a)
							}
						}
						return
					}
					time.Sleep(2 * time.Minute)
					late := read()[before:]
					if len(late) == 0 || late[0].after != 10*time.Minute {
						t.Errorf("after the longest registration has expired: %+v, want news after 10 min", late)
					}
				})
			})
		}
	}
}

// TestLostStoreOfNewClient checks that a client that has nothing is answered at once. A client of an
// earlier run gets the services that are back after SettleAfter.
func TestLostStoreOfNewClient(t *testing.T) {
	inBubble(t, afterLoss(), func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.set("other", 1)
		w.Loaded()
		begun := time.Now()
		if m, err := w.delta(t, ctx, "pay").Recv(); err != nil || len(m.GetRemovedResources()) != 1 || time.Since(begun) != 0 {
			t.Errorf("a new client gets %v, %v after %v", m, err, time.Since(begun))
		}
		read := w.resumedDelta(t, ctx, false, "other", "pay")
		time.Sleep(31 * time.Second)
		if all := read(); len(all) != len(resumedTypes) || all[0].after != 30*time.Second || all[0].present != 1 || all[0].removed != 0 {
			t.Errorf("a client of an earlier run gets %+v", all)
		}
	})
}
