package xds

import (
	"slices"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routepb "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
)

// kind is a type of resource that the coordinator serves. The order is that in which changes are
// sent: a client needs the clusters before the endpoint sets, and both before what uses them.
type kind uint8

const (
	clusters kind = iota
	endpointSets
	listeners
	routes
	numKinds
	// unknownKind stands for every type that the coordinator does not serve. No resource of such a
	// type exists.
	unknownKind = numKinds
)

const urlPrefix = "type.googleapis.com/"

// messageNames has the name of the message of each kind.
var messageNames = [numKinds]string{
	clusters:     messageName(&clusterpb.Cluster{}),
	endpointSets: messageName(&endpointpb.ClusterLoadAssignment{}),
	listeners:    messageName(&listenerpb.Listener{}),
	routes:       messageName(&routepb.RouteConfiguration{}),
}

func messageName(m proto.Message) string { return string(m.ProtoReflect().Descriptor().FullName()) }

// url returns the type URL of a kind that is not unknownKind.
func (k kind) url() string { return urlPrefix + messageNames[k] }

// kindOf returns the kind with the given type URL.
func kindOf(url string) kind {
	for k, name := range messageNames {
		if url == urlPrefix+name {
			return kind(k)
		}
	}
	return unknownKind
}

// full reports whether a response with the state of the world must contain every resource.
func (k kind) full() bool { return k == clusters || k == listeners }

// Rendering says which clients a resource is for.
type Rendering uint8

// The renderings. Package routing describes them.
const (
	SpillOver Rendering = iota
	Plain
	numRenderings
)

// String returns "spill-over" or "plain".
func (r Rendering) String() string { return [...]string{"spill-over", "plain"}[r] }

// plainFeature is the client feature of gRPC, and of other clients that know no degraded endpoints.
const plainFeature = "envoy.lb.does_not_support_overprovisioning"

// renderingFor returns the rendering for a client with the given features.
func renderingFor(features []string) Rendering {
	if slices.Contains(features, plainFeature) {
		return Plain
	}
	return SpillOver
}
