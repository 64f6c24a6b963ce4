package coordinator_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/internal/testmesh"
)

// routedMesh has a coordinator that can be restarted, four targets, and two xDS clients that stay: one
// for each protocol. It needs a synctest bubble.
type routedMesh struct {
	t       *testing.T
	network *testmesh.Network
	targets map[string]*stock.Server // by address
	clients []*edsClient
	stop    func() // ends the coordinator
}

var targetsAt = []string{"127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003", "127.0.0.1:9004"}

func newRoutedMesh(t *testing.T, kept store.Store) *routedMesh {
	m := &routedMesh{t: t, network: testmesh.NewNetwork(), targets: map[string]*stock.Server{}}
	for _, at := range targetsAt {
		target, g := stock.NewServer(), grpc.NewServer()
		target.SetServingStatus("pay", healthpb.HealthCheckResponse_SERVING)
		healthpb.RegisterHealthServer(g, target)
		served := make(chan error, 1)
		l := m.network.Listen(at)
		go func() { served <- g.Serve(l) }()
		t.Cleanup(func() { g.Stop(); <-served })
		m.targets[at] = target
	}
	m.start(kept)
	for _, delta := range []bool{false, true} {
		c := &edsClient{delta: delta, network: m.network, versions: map[string]string{}}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); c.run(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
		m.clients = append(m.clients, c)
	}
	time.Sleep(10 * time.Second)
	return m
}

// start starts a coordinator with the targets as static instances.
func (m *routedMesh) start(kept store.Store) {
	m.t.Helper()
	cfg := coordinator.Config{
		Listener: m.network.Listen(coordinatorAt), HTTP: coordinator.Off, Store: kept,
		Dial: coordinator.Dial{Context: m.network.Dial}, Logger: slog.New(slog.DiscardHandler),
	}
	for i, at := range targetsAt {
		cfg.Static = append(cfg.Static, coordinator.Target{Service: "pay", Instance: fmt.Sprint(i), Address: at})
	}
	c, err := coordinator.New(m.t.Context(), cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	synctest.Wait()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Errorf("the coordinator ended with: %v", err)
		}
		m.network.Kill(coordinatorAt)
	})
	m.t.Cleanup(func() { m.stop() })
}

// want checks the sets that each client has received since the last call: their least number of
// usable endpoints, and the present number.
func (m *routedMesh) want(when string, least, now int) {
	m.t.Helper()
	synctest.Wait()
	for _, c := range m.clients {
		sizes := c.take()
		if slices.Min(sizes) != least || sizes[len(sizes)-1] != now {
			m.t.Errorf("%s (delta: %t): the sets had %v endpoints, want at least %d and now %d", when, c.delta, sizes, least, now)
		}
	}
}

// edsClient asks for the endpoints of the service pay. It connects again whenever its stream ends.
type edsClient struct {
	delta   bool
	network *testmesh.Network

	mu       sync.Mutex
	sizes    []int // number of usable endpoints in each set
	version  string
	versions map[string]string
}

// take returns the sizes of the sets since the last call, the present one first.
func (c *edsClient) take() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.sizes)
	c.sizes = c.sizes[len(c.sizes)-1:]
	return all
}

const edsURL = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

func (c *edsClient) run(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := grpc.NewClient("passthrough:///"+coordinatorAt, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, a string) (net.Conn, error) { return c.network.Dial(ctx, a) }))
		if err != nil {
			return
		}
		ads := discoverypb.NewAggregatedDiscoveryServiceClient(conn)
		if c.delta {
			c.followDelta(ctx, ads)
		} else {
			c.followWorld(ctx, ads)
		}
		_ = conn.Close()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (c *edsClient) followDelta(ctx context.Context, ads discoverypb.AggregatedDiscoveryServiceClient) {
	stream, err := ads.DeltaAggregatedResources(ctx)
	if err != nil {
		return
	}
	c.mu.Lock()
	req := &discoverypb.DeltaDiscoveryRequest{
		Node: &corepb.Node{Id: "delta"}, TypeUrl: edsURL, ResourceNamesSubscribe: []string{"pay"}, InitialResourceVersions: maps.Clone(c.versions),
	}
	c.mu.Unlock()
	for stream.Send(req) == nil {
		m, err := stream.Recv()
		if err != nil {
			return
		}
		for _, r := range m.GetResources() {
			c.note(r.GetResource(), r.GetName(), r.GetVersion())
		}
		for range m.GetRemovedResources() {
			c.note(nil, "pay", "")
		}
		req = &discoverypb.DeltaDiscoveryRequest{TypeUrl: edsURL, ResponseNonce: m.GetNonce()}
	}
}

func (c *edsClient) followWorld(ctx context.Context, ads discoverypb.AggregatedDiscoveryServiceClient) {
	stream, err := ads.StreamAggregatedResources(ctx)
	if err != nil {
		return
	}
	nonce := ""
	for {
		req := &discoverypb.DiscoveryRequest{
			Node: &corepb.Node{Id: "world"}, TypeUrl: edsURL, ResourceNames: []string{"pay"}, VersionInfo: c.version, ResponseNonce: nonce,
		}
		if stream.Send(req) != nil {
			return
		}
		m, err := stream.Recv()
		if err != nil {
			return
		}
		for _, r := range m.GetResources() {
			c.note(r, "pay", "")
		}
		nonce, c.version = m.GetNonce(), m.GetVersionInfo()
	}
}

// note notes a set. It is nil if it was removed.
func (c *edsClient) note(packed *anypb.Any, name, version string) {
	n := 0
	if packed != nil {
		var set endpointpb.ClusterLoadAssignment
		if err := packed.UnmarshalTo(&set); err != nil {
			panic(err)
		}
		for _, l := range set.GetEndpoints() {
			for _, e := range l.GetLbEndpoints() {
				if e.GetHealthStatus() == corepb.HealthStatus_HEALTHY {
					n++
				}
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sizes, c.versions[name] = append(c.sizes, n), version
}

// TestXDSKeepsEndpoints: neither a restart of the coordinator nor a network through which it sees
// nothing takes the endpoints of a service away from xDS clients.
func TestXDSKeepsEndpoints(t *testing.T) {
	for _, c := range []struct {
		name string
		kept func(before store.Store) store.Store // store of the coordinator after a restart
	}{
		{"the store remains", func(before store.Store) store.Store { return before }},
		{"the store is lost", func(store.Store) store.Store { return store.NewMemory(0) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := store.Store(openStore{store.NewMemory(0)})
				m := newRoutedMesh(t, kept)
				time.Sleep(time.Minute)
				m.take()
				m.want("at the start", 4, 4)

				m.stop()
				time.Sleep(time.Minute)
				m.start(openStore{c.kept(kept)})
				time.Sleep(2 * time.Minute)
				m.want("after a restart", 4, 4)

				for _, at := range targetsAt {
					m.network.Hang(at)
				}
				time.Sleep(10 * time.Minute)
				m.want("while nothing can be reached", 2, 2)
				for _, at := range targetsAt {
					m.network.Resume(at)
				}
				time.Sleep(2 * time.Minute)
				m.want("when everything is back", 2, 4)

				m.targets[targetsAt[0]].SetServingStatus("pay", healthpb.HealthCheckResponse_NOT_SERVING)
				time.Sleep(10 * time.Second)
				m.want("when one says NOT_SERVING", 3, 3)
			})
		})
	}
}

func (m *routedMesh) take() {
	synctest.Wait()
	for _, c := range m.clients {
		c.take()
	}
}
