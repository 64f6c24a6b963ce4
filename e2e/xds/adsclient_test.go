//go:build e2e || soak

package xds

import (
	"context"
	"sync"
	"testing"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
)

const endpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

// adsClient subscribes to the endpoint sets of some services. When a stream ends, it opens a new one,
// and says which versions it has. A plain client uses the state of the world, as gRPC does. The other
// one uses delta, as Envoy does.
type adsClient struct {
	t        *testing.T
	plain    bool
	services []string
	ads      discoverypb.AggregatedDiscoveryServiceClient

	mu       sync.Mutex
	usable   map[string]int // number of endpoints that receive traffic, by the service
	least    map[string]int // the least of these numbers
	versions map[string]string
	version  string // of the last response of the state of the world
	streams  int
}

// startADSClients starts a client of each kind, and waits until they know all services.
func startADSClients(t *testing.T, at string, services ...string) []*adsClient {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var all []*adsClient
	for _, plain := range []bool{true, false} {
		a := &adsClient{
			t: t, plain: plain, services: services, ads: discoverypb.NewAggregatedDiscoveryServiceClient(dial(t, at)),
			usable: map[string]int{}, least: map[string]int{}, versions: map[string]string{},
		}
		all = append(all, a)
		wg.Go(func() { a.run(ctx) })
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	return all
}

func (a *adsClient) name() string {
	if a.plain {
		return "plain, state of the world"
	}
	return "spill-over, delta"
}

func (a *adsClient) run(ctx context.Context) {
	stream := a.delta
	if a.plain {
		stream = a.world
	}
	for ctx.Err() == nil {
		_ = stream(ctx) // the coordinator has ended, and the next stream waits for it
	}
}

func (a *adsClient) node() *corepb.Node {
	n := &corepb.Node{Id: a.name(), UserAgentName: "test"}
	if a.plain {
		n.ClientFeatures = []string{"envoy.lb.does_not_support_overprovisioning"}
	}
	return n
}

func (a *adsClient) world(ctx context.Context) error {
	stream, err := a.ads.StreamAggregatedResources(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	a.count()
	req := &discoverypb.DiscoveryRequest{Node: a.node(), TypeUrl: endpointType, ResourceNames: a.services, VersionInfo: a.version}
	for {
		if err := stream.Send(req); err != nil {
			return err
		}
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, r := range resp.GetResources() {
			a.receive(r)
		}
		a.version = resp.GetVersionInfo()
		req = &discoverypb.DiscoveryRequest{TypeUrl: endpointType, ResourceNames: a.services, VersionInfo: a.version, ResponseNonce: resp.GetNonce()}
	}
}

func (a *adsClient) delta(ctx context.Context) error {
	stream, err := a.ads.DeltaAggregatedResources(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	a.count()
	req := &discoverypb.DeltaDiscoveryRequest{
		Node: a.node(), TypeUrl: endpointType, ResourceNamesSubscribe: a.services, InitialResourceVersions: a.versions,
	}
	for {
		if err := stream.Send(req); err != nil {
			return err
		}
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, r := range resp.GetResources() {
			a.receive(r.GetResource())
			a.versions[r.GetName()] = r.GetVersion()
		}
		for _, name := range resp.GetRemovedResources() {
			a.note(name, 0)
			delete(a.versions, name)
		}
		req = &discoverypb.DeltaDiscoveryRequest{TypeUrl: endpointType, ResponseNonce: resp.GetNonce()}
	}
}

// receive counts the endpoints of a set that receive traffic.
func (a *adsClient) receive(packed *anypb.Any) {
	var set endpointpb.ClusterLoadAssignment
	if err := packed.UnmarshalTo(&set); err != nil {
		a.t.Errorf("%s: %v", a.name(), err)
		return
	}
	n := 0
	for _, l := range set.GetEndpoints() {
		for _, e := range l.GetLbEndpoints() {
			switch e.GetHealthStatus() {
			case corepb.HealthStatus_UNKNOWN, corepb.HealthStatus_HEALTHY, corepb.HealthStatus_DEGRADED:
				n++
			}
		}
	}
	a.note(set.GetClusterName(), n)
}

func (a *adsClient) note(service string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if least, known := a.least[service]; !known || n < least {
		a.least[service] = n
	}
	a.usable[service] = n
}

func (a *adsClient) count() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams++
}

// sees reports whether a service has n endpoints that receive traffic.
func (a *adsClient) sees(service string, n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.usable[service] == n
}

// restart forgets which numbers of endpoints were the least, and how many streams there were.
func (a *adsClient) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.least)
	for service, n := range a.usable {
		a.least[service] = n
	}
	a.streams = 0
}

// leastOf returns the least number of endpoints of a service since restart.
func (a *adsClient) leastOf(service string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.least[service]
}
