package xds

import (
	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routepb "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	managerpb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	optionspb "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// overADS says that a client finds a resource on the stream on which it is connected already.
func overADS() *corepb.ConfigSource {
	return &corepb.ConfigSource{
		ConfigSourceSpecifier: &corepb.ConfigSource_Ads{Ads: &corepb.AggregatedConfigSource{}},
		ResourceApiVersion:    corepb.ApiVersion_V3,
	}
}

// newListener returns the listener of a gRPC client. It says that the routes of the service apply.
func newListener(name string, n resourceName) *listenerpb.Listener {
	return &listenerpb.Listener{
		Name: name,
		ApiListener: &listenerpb.ApiListener{ApiListener: packed(&managerpb.HttpConnectionManager{
			StatPrefix: n.service,
			RouteSpecifier: &managerpb.HttpConnectionManager_Rds{Rds: &managerpb.Rds{
				ConfigSource: overADS(), RouteConfigName: n.of(routes),
			}},
			HttpFilters: []*managerpb.HttpFilter{{
				Name:       "envoy.filters.http.router",
				ConfigType: &managerpb.HttpFilter_TypedConfig{TypedConfig: packed(&routerpb.Router{})},
			}},
		})},
	}
}

// newRoutes returns routes that lead every call to the cluster of the service.
func newRoutes(name string, n resourceName) *routepb.RouteConfiguration {
	return &routepb.RouteConfiguration{
		Name: name,
		VirtualHosts: []*routepb.VirtualHost{{
			Name: n.service, Domains: []string{"*"},
			Routes: []*routepb.Route{{
				Match: &routepb.RouteMatch{PathSpecifier: &routepb.RouteMatch_Prefix{}},
				Action: &routepb.Route_Route{Route: &routepb.RouteAction{
					ClusterSpecifier: &routepb.RouteAction_Cluster{Cluster: n.of(clusters)},
				}},
			}},
		}},
	}
}

// newCluster returns the cluster of the service. Envoy applies a change of its endpoints at once, and
// not after a second, which is the default.
func newCluster(name string, n resourceName, r Rendering, tlsNames []string, certificates *Certificates) *clusterpb.Cluster {
	c := &clusterpb.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterpb.Cluster_Type{Type: clusterpb.Cluster_EDS},
		EdsClusterConfig:     &clusterpb.Cluster_EdsClusterConfig{EdsConfig: overADS(), ServiceName: n.of(endpointSets)},
		LbPolicy:             clusterpb.Cluster_ROUND_ROBIN,
		CommonLbConfig:       &clusterpb.Cluster_CommonLbConfig{UpdateMergeWindow: durationpb.New(0)},
	}
	if r == SpillOver {
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{messageName(&optionspb.HttpProtocolOptions{}): packed(http2())}
	}
	if len(tlsNames) > 0 {
		c.TransportSocket = newTransportSocket(r, tlsNames, certificates)
	}
	return c
}

// http2 makes Envoy use HTTP/2, which gRPC needs. The default of Envoy is HTTP/1.1.
func http2() *optionspb.HttpProtocolOptions {
	return &optionspb.HttpProtocolOptions{
		UpstreamProtocolOptions: &optionspb.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &optionspb.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &optionspb.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corepb.Http2ProtocolOptions{},
				},
			},
		},
	}
}
