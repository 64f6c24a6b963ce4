//go:build kube

package kubewriter_test

import (
	"context"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	adsv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshhealth/meshhealth/compat/bed"
)

// agent connects to istiod as Istio's agent of an entry does. While it is connected, istiod writes the
// condition that the agent reports. After it has left, istiod removes the condition. The writer
// restores its own each time.
func (r *rig) agent() {
	t := r.t
	t.Helper()
	events := r.Admin.Watch(t, entryPath(2))
	leave := r.connectAgent(t, "hello-2")
	began := next(t, events, "the condition of the agent", bed.Condition("Healthy", "False")).At
	back := []time.Duration{next(t, events, "the condition of the writer", bed.Condition("Healthy", "True")).At.Sub(began)}
	leave()
	began = next(t, events, "the removal by istiod", bed.Condition("Healthy", "")).At
	back = append(back, next(t, events, "the condition of the writer", bed.Condition("Healthy", "True")).At.Sub(began))
	// istiod would remove the condition again and again while the entry has these annotations.
	r.Admin.Call(t, "PATCH", entryPath(2), bed.Object{"metadata": bed.Object{"annotations": bed.Object{
		"istio.io/workloadController": nil, "istio.io/connectedAt": nil, "istio.io/disconnectedAt": nil,
	}}})
	report(t, "condition changed or removed by istiod -> back", back, time.Second)
}

// connectAgent connects an agent that reports that its entry is not healthy.
func (r *rig) connectAgent(t *testing.T, entry string) (leave func()) {
	t.Helper()
	metadata, err := structpb.NewStruct(map[string]any{"NAMESPACE": "shop", "CLUSTER_ID": "Kubernetes", "WORKLOAD_ENTRY": entry})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+r.XDS, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	leave = func() { cancel(); conn.Close() }
	t.Cleanup(leave)
	stream, err := adsv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	node := &corev3.Node{Id: "sidecar~" + entryIP(2) + "~" + entry + ".shop~shop.svc.cluster.local", Metadata: metadata}
	for _, request := range []*adsv3.DiscoveryRequest{
		{Node: node, TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster"},
		{Node: node, TypeUrl: "type.googleapis.com/istio.v1.HealthInformation", ErrorDetail: &status.Status{Code: 500, Message: "the agent says no"}},
	} {
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
	}
	return leave
}
