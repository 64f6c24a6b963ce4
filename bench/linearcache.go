package main

import (
	"context"
	"net/netip"
	"slices"
	"time"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routepb "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	managerpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	linearserver "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// linearXDS is the server of go-control-plane. It has a LinearCache for each type of resources.
type linearXDS struct {
	linearserver.Server
	sets      *cache.LinearCache
	endpoints []*endpointpb.LbEndpoint // of the first service
}

func newLinearXDS(ctx context.Context, mesh *xdsMesh) (xdsServer, error) {
	s := &linearXDS{sets: cache.NewLinearCache(resource.EndpointType)}
	sets := map[string]types.Resource{}
	for i := range mesh.services {
		var endpoints []*endpointpb.LbEndpoint
		for _, a := range mesh.addresses {
			endpoints = append(endpoints, lbEndpoint(a, true))
		}
		if i == 0 {
			s.endpoints = endpoints
		}
		sets[name("service", i)] = endpointSet(name("service", i), endpoints)
	}
	s.sets.SetResources(sets)
	caches := map[string]cache.Cache{resource.EndpointType: s.sets}
	for url, one := range grpcResources(name("service", 0)) {
		caches[url] = cache.NewLinearCache(url, cache.WithInitialResources(map[string]types.Resource{name("service", 0): one}))
	}
	s.Server = linearserver.NewServer(ctx, &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        caches,
	}, nil)
	return s, nil
}

func (*linearXDS) options() []grpc.ServerOption { return nil }

// flip builds the endpoint set anew. It builds only the changed endpoint, and uses the messages of
// the other endpoints again. This is the fastest way.
func (s *linearXDS) flip(healthy bool) error {
	address := s.endpoints[0].GetEndpoint().GetAddress().GetSocketAddress()
	first := netip.AddrPortFrom(netip.MustParseAddr(address.GetAddress()), uint16(address.GetPortValue()))
	s.endpoints = slices.Clone(s.endpoints)
	s.endpoints[0] = lbEndpoint(first, healthy)
	return s.sets.UpdateResource(name("service", 0), endpointSet(name("service", 0), s.endpoints))
}

// ready reports whether n streams wait for the next change, which they do after they have accepted
// the last one.
func (s *linearXDS) ready(n int) bool { return s.sets.NumWatches(name("service", 0)) == n }

func (s *linearXDS) settle(n int) {
	for !s.ready(n) {
		time.Sleep(time.Millisecond)
	}
}

func lbEndpoint(a netip.AddrPort, healthy bool) *endpointpb.LbEndpoint {
	status := corepb.HealthStatus_UNHEALTHY
	if healthy {
		status = corepb.HealthStatus_HEALTHY
	}
	return &endpointpb.LbEndpoint{
		HostIdentifier: &endpointpb.LbEndpoint_Endpoint{Endpoint: &endpointpb.Endpoint{
			Address: &corepb.Address{Address: &corepb.Address_SocketAddress{SocketAddress: &corepb.SocketAddress{
				Address: a.Addr().String(), PortSpecifier: &corepb.SocketAddress_PortValue{PortValue: uint32(a.Port())},
			}}},
		}},
		HealthStatus: status, LoadBalancingWeight: wrapperspb.UInt32(1),
	}
}

func endpointSet(name string, endpoints []*endpointpb.LbEndpoint) *endpointpb.ClusterLoadAssignment {
	return &endpointpb.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointpb.LocalityLbEndpoints{{
		Locality: &corepb.Locality{}, LbEndpoints: endpoints, LoadBalancingWeight: wrapperspb.UInt32(10_000),
	}}}
}

// grpcResources returns the resources by their type that a gRPC client needs, beside the endpoints.
func grpcResources(service string) map[string]types.Resource {
	ads := &corepb.ConfigSource{
		ConfigSourceSpecifier: &corepb.ConfigSource_Ads{Ads: &corepb.AggregatedConfigSource{}}, ResourceApiVersion: corepb.ApiVersion_V3,
	}
	manager := packed(&managerpb.HttpConnectionManager{
		StatPrefix:     service,
		RouteSpecifier: &managerpb.HttpConnectionManager_Rds{Rds: &managerpb.Rds{ConfigSource: ads, RouteConfigName: service}},
		HttpFilters: []*managerpb.HttpFilter{{
			Name: "router", ConfigType: &managerpb.HttpFilter_TypedConfig{TypedConfig: packed(&routerpb.Router{})},
		}},
	})
	return map[string]types.Resource{
		resource.ListenerType: &listenerpb.Listener{Name: service, ApiListener: &listenerpb.ApiListener{ApiListener: manager}},
		resource.RouteType: &routepb.RouteConfiguration{Name: service, VirtualHosts: []*routepb.VirtualHost{{
			Name: service, Domains: []string{"*"}, Routes: []*routepb.Route{{
				Match:  &routepb.RouteMatch{PathSpecifier: &routepb.RouteMatch_Prefix{}},
				Action: &routepb.Route_Route{Route: &routepb.RouteAction{ClusterSpecifier: &routepb.RouteAction_Cluster{Cluster: service}}},
			}},
		}}},
		resource.ClusterType: &clusterpb.Cluster{
			Name: service, ClusterDiscoveryType: &clusterpb.Cluster_Type{Type: clusterpb.Cluster_EDS},
			EdsClusterConfig: &clusterpb.Cluster_EdsClusterConfig{EdsConfig: ads}, LbPolicy: clusterpb.Cluster_ROUND_ROBIN,
		},
	}
}

// packed returns a message as an Any. It panics if the message cannot be encoded, which would be a
// mistake in this file.
func packed(m types.Resource) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return a
}
