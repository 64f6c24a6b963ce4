package xds

import (
	"net/netip"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/routing"
)

// The numbers of the fields of a ClusterLoadAssignment and of its LocalityLbEndpoints.
const (
	fieldClusterName protowire.Number = 1
	fieldLocalities  protowire.Number = 2
	fieldLocality    protowire.Number = 1
	fieldEndpoints   protowire.Number = 2
	fieldLocalWeight protowire.Number = 3
	fieldPriority    protowire.Number = 5
)

// encodedEndpoint is an endpoint as the field lb_endpoints of a locality, for each rendering. It is
// encoded once, so that a change of one endpoint of a large service encodes only this endpoint.
type encodedEndpoint [numRenderings][]byte

var healthOf = map[health.Route]corepb.HealthStatus{
	health.RouteHealthy:   corepb.HealthStatus_HEALTHY,
	health.RouteDegraded:  corepb.HealthStatus_DEGRADED,
	health.RouteUnhealthy: corepb.HealthStatus_UNHEALTHY,
	health.RouteDraining:  corepb.HealthStatus_DRAINING,
}

// encodeEndpoint encodes an endpoint. In the plain rendering, every endpoint is healthy.
func encodeEndpoint(e *routing.Endpoint) (all encodedEndpoint) {
	status, ok := healthOf[e.Route]
	if !ok {
		return all
	}
	all[SpillOver] = lbEndpoint(e, status)
	if e.Route.Routable() {
		all[Plain] = lbEndpoint(e, corepb.HealthStatus_HEALTHY)
	}
	return all
}

func lbEndpoint(e *routing.Endpoint, status corepb.HealthStatus) []byte {
	b := protowire.AppendTag(nil, fieldEndpoints, protowire.BytesType)
	return protowire.AppendBytes(b, marshal(&endpointpb.LbEndpoint{
		HostIdentifier:      &endpointpb.LbEndpoint_Endpoint{Endpoint: &endpointpb.Endpoint{Address: address(e.Address)}},
		HealthStatus:        status,
		LoadBalancingWeight: wrapperspb.UInt32(min(max(e.Weight, 1), health.MaxWeight)),
	}))
}

// address returns an address. An IPv6 address has no brackets, and an IPv4 address has no IPv6 form.
func address(a netip.AddrPort) *corepb.Address {
	return &corepb.Address{Address: &corepb.Address_SocketAddress{SocketAddress: &corepb.SocketAddress{
		Address:       a.Addr().Unmap().String(),
		PortSpecifier: &corepb.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}

// endpointSetBody encodes the localities of an endpoint set, which is all of it except its name.
// encoded has the endpoints by their index.
func endpointSetBody(localities []routing.Locality, encoded []encodedEndpoint, r Rendering) []byte {
	heads, sizes, total := make([][]byte, len(localities)), make([]int, len(localities)), 0
	for i := range localities {
		l := &localities[i]
		heads[i] = localityHead(l)
		sizes[i] = len(heads[i])
		for _, at := range l.Endpoints {
			sizes[i] += len(encoded[at][r])
		}
		total += 1 + protowire.SizeVarint(uint64(sizes[i])) + sizes[i]
	}
	body := make([]byte, 0, total)
	for i := range localities {
		body = protowire.AppendTag(body, fieldLocalities, protowire.BytesType)
		body = protowire.AppendVarint(body, uint64(sizes[i]))
		body = append(body, heads[i]...)
		for _, at := range localities[i].Endpoints {
			body = append(body, encoded[at][r]...)
		}
	}
	return body
}

// localityHead encodes a locality without its endpoints.
func localityHead(l *routing.Locality) []byte {
	b := protowire.AppendTag(nil, fieldLocality, protowire.BytesType)
	b = protowire.AppendBytes(b, marshal(&corepb.Locality{Region: l.Region, Zone: l.Zone, SubZone: l.SubZone}))
	b = protowire.AppendTag(b, fieldLocalWeight, protowire.BytesType)
	b = protowire.AppendBytes(b, marshal(wrapperspb.UInt32(l.Weight)))
	if l.Priority > 0 {
		b = protowire.AppendTag(b, fieldPriority, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(l.Priority))
	}
	return b
}

// endpointSetHead encodes the name of an endpoint set.
func endpointSetHead(name string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, fieldClusterName, protowire.BytesType), name)
}
