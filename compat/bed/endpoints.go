//go:build linux

package bed

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	adsv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	endpointsURL = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	clustersURL  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
)

// Bootstrap returns the bootstrap configuration of a gRPC client in a namespace, which follows istiod
// without a proxy. Pass it to xds.NewXDSResolverWithConfigForTesting, and dial xds:///HOST:PORT.
func (b *Bed) Bootstrap(t testing.TB, namespace string) []byte {
	t.Helper()
	text, err := json.Marshal(Object{
		"xds_servers": []Object{{
			"server_uri": b.XDS, "channel_creds": []Object{{"type": "insecure"}}, "server_features": []string{"xds_v3"},
		}},
		"node": Object{
			"id":       nodeID(namespace),
			"metadata": Object{"NAMESPACE": namespace, "CLUSTER_ID": "Kubernetes", "GENERATOR": "grpc"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func nodeID(namespace string) string {
	return "sidecar~127.0.0.1~client." + namespace + "~" + namespace + ".svc.cluster.local"
}

// node is a client of istiod in a namespace.
func node(t testing.TB, namespace string, more map[string]any) *corev3.Node {
	t.Helper()
	metadata := map[string]any{"NAMESPACE": namespace, "CLUSTER_ID": "Kubernetes"}
	maps.Copy(metadata, more)
	s, err := structpb.NewStruct(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.Node{Id: nodeID(namespace), Metadata: s}
}

// dial connects to an address without TLS. The connection ends with the test.
func dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Endpoint is one endpoint of a cluster as istiod sends it.
type Endpoint struct {
	Address  string // IP:PORT
	Health   string // the name of the Envoy status: UNKNOWN, HEALTHY, UNHEALTHY, DRAINING, DEGRADED
	Weight   uint32
	Priority uint32
}

// Set is the endpoints of one cluster at one time, ordered by address.
type Set struct {
	Endpoints []Endpoint
	At        time.Time // when the test received it
}

// Usable returns the addresses of the endpoints that a gRPC client would use: those that are HEALTHY or
// UNKNOWN.
func (s Set) Usable() []string {
	addresses := []string{}
	for _, e := range s.Endpoints {
		if e.Health == "HEALTHY" || e.Health == "UNKNOWN" {
			addresses = append(addresses, e.Address)
		}
	}
	return addresses
}

// Endpoints is a subscription to the endpoints of one cluster.
type Endpoints struct {
	cluster string
	sets    chan Set
}

// Endpoints subscribes to a cluster of istiod, such as outbound|9000||hello.shop.mesh, as a proxy in a
// namespace. The subscription ends with the test.
func (b *Bed) Endpoints(t testing.TB, namespace, cluster string) *Endpoints {
	t.Helper()
	stream, leave := b.ads(t)
	e := &Endpoints{cluster: cluster, sets: make(chan Set, 10_000)}
	request := &adsv3.DiscoveryRequest{
		Node: node(t, namespace, nil), TypeUrl: endpointsURL, ResourceNames: []string{cluster},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(e.sets)
		_ = e.follow(stream, request)
	}()
	t.Cleanup(func() { leave(); <-done })
	return e
}

// follow subscribes, and acknowledges and delivers every set until the stream ends.
func (e *Endpoints) follow(stream adsv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient, request *adsv3.DiscoveryRequest) error {
	for {
		if err := stream.Send(request); err != nil {
			return err
		}
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		request = &adsv3.DiscoveryRequest{
			TypeUrl: endpointsURL, ResourceNames: []string{e.cluster},
			VersionInfo: answer.GetVersionInfo(), ResponseNonce: answer.GetNonce(),
		}
		for _, resource := range answer.GetResources() {
			var assignment endpointv3.ClusterLoadAssignment
			if err := resource.UnmarshalTo(&assignment); err != nil {
				return err
			}
			select {
			case e.sets <- Set{Endpoints: endpoints(&assignment), At: time.Now()}:
			case <-stream.Context().Done():
				return stream.Context().Err()
			}
		}
	}
}

func endpoints(assignment *endpointv3.ClusterLoadAssignment) []Endpoint {
	var all []Endpoint
	for _, locality := range assignment.GetEndpoints() {
		for _, e := range locality.GetLbEndpoints() {
			address := e.GetEndpoint().GetAddress().GetSocketAddress()
			all = append(all, Endpoint{
				Address:  net.JoinHostPort(address.GetAddress(), strconv.Itoa(int(address.GetPortValue()))),
				Health:   e.GetHealthStatus().String(),
				Weight:   e.GetLoadBalancingWeight().GetValue(),
				Priority: locality.GetPriority(),
			})
		}
	}
	slices.SortFunc(all, func(a, b Endpoint) int { return strings.Compare(a.Address, b.Address) })
	return all
}

// Sets returns every set that istiod sends, in order. The channel is closed when the stream ends.
func (e *Endpoints) Sets() <-chan Set { return e.sets }

// Await reads sets until the usable addresses are exactly these, and returns that set. The test fails
// after a minute, or when the stream ends.
func (e *Endpoints) Await(t testing.TB, addresses ...string) Set {
	t.Helper()
	slices.Sort(addresses)
	last := "there was no set"
	timeout := time.After(patience)
	for {
		select {
		case set, ok := <-e.sets:
			if !ok {
				t.Fatalf("%s: istiod ended the stream; awaited %v", e.cluster, addresses)
			}
			if slices.Equal(set.Usable(), addresses) {
				return set
			}
			last = fmt.Sprintf("the last set has %v", set.Endpoints)
		case <-timeout:
			t.Fatalf("%s: awaited %v; %s", e.cluster, addresses, last)
		}
	}
}
