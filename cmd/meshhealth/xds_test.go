package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

const (
	listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	clusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
)

// TestXDSTables checks the output of `xds status` and `xds diff`.
func TestXDSTables(t *testing.T) {
	at := func(ago time.Duration) *timestamppb.Timestamp { return timestamppb.New(noon.Add(-ago)) }
	clients := []*pb.XDSClient{
		{
			Stream: 3, Node: "edge-1", Cluster: "edge", UserAgent: "envoy 1.38.0", Peer: "10.0.0.9:4711", Delta: true, Since: at(26 * time.Hour),
			Subscriptions: []*pb.XDSSubscription{
				{TypeUrl: clusterType, Wildcard: true, Subscribed: 12}, {TypeUrl: endpointsType, Subscribed: 12, Behind: 1, Acknowledged: 900, Rejected: 2},
			},
		},
		{
			Stream: 18, Node: escape, Plain: true, UserAgent: "gRPC Go 1.85.0", Since: at(time.Second),
			Subscriptions: []*pb.XDSSubscription{{TypeUrl: listenerType, Subscribed: 1, Acknowledged: 1}},
		},
		{Stream: 19, Node: "quiet", Since: at(0)},
	}
	s := shell{env: map[string]string{"LANG": "C.UTF-8"}}
	out := &output{format: "table", colour: "auto"}
	if err := printXDSClients(s.app(), out, clients); err != nil {
		t.Fatal(err)
	}
	err := printRejections(s.app(), out, []*pb.XDSRejection{
		{TypeUrl: endpointsType, Names: []string{"payments"}, Reason: "worse", At: at(time.Minute), Node: "edge-1"},
		{TypeUrl: "type.googleapis.com/x.Other", Reason: "no", At: at(30 * time.Minute), Node: escape},
		{TypeUrl: endpointsType, Names: []string{"payments", "ledger"}, Reason: "bad " + escape, At: at(time.Hour), Node: "edge-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.out.WriteString("\n")
	err = printXDSResources(s.app(), out, []*pb.XDSResource{
		{TypeUrl: clusterType, Name: "payments", Current: "a1", Sent: "a1", Acknowledged: "a1"},
		{TypeUrl: endpointsType, Name: "ledger", Current: "b2", Sent: "b2", Acknowledged: "b1", Rejected: "bad " + escape},
		{TypeUrl: endpointsType, Name: "mail", Current: "c2", Sent: "c1", Acknowledged: "c1"},
		{TypeUrl: endpointsType, Name: "nobody"},
		{TypeUrl: endpointsType, Name: "payments", Current: "d2", Sent: "d2", Acknowledged: "d1"},
		{TypeUrl: endpointsType, Name: "stopped", Sent: "e1", Acknowledged: "e1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/xds.txt", s.out.String())
}
