//go:build linux

package bed

import (
	"context"
	"testing"

	adsv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
)

const healthURL = "type.googleapis.com/istio.v1.HealthInformation"

// Agent speaks to istiod as the agent of a virtual machine does that has a WorkloadEntry of its own.
// istiod then writes the Healthy condition of the entry. After the agent has left, istiod removes the
// condition, whoever wrote it: the first time after PILOT_WORKLOAD_ENTRY_GRACE_PERIOD (10 s), and then
// again after each ten of them.
type Agent struct {
	leave  func()
	stream adsv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
}

// Agent connects the agent of a WorkloadEntry, which must have the annotation
// proxy.istio.io/health-checks-enabled. It leaves at the end of the test.
func (b *Bed) Agent(t testing.TB, namespace, entry string) *Agent {
	t.Helper()
	node := node(t, namespace, map[string]any{"WORKLOAD_ENTRY": entry})
	node.Id = "sidecar~127.0.0.1~" + entry + "." + namespace + "~" + namespace + ".svc.cluster.local"
	stream, leave := b.ads(t)
	a := &Agent{stream: stream, leave: leave}
	// istiod ignores health before it has answered another request.
	a.send(t, &adsv3.DiscoveryRequest{Node: node, TypeUrl: clustersURL})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return a
}

// Report tells istiod that the workload is healthy, or that it is not, and why.
func (a *Agent) Report(t testing.TB, healthy bool, why string) {
	t.Helper()
	request := &adsv3.DiscoveryRequest{TypeUrl: healthURL}
	if !healthy {
		request.ErrorDetail = &statuspb.Status{Code: 500, Message: why}
	}
	a.send(t, request)
}

func (a *Agent) send(t testing.TB, request *adsv3.DiscoveryRequest) {
	t.Helper()
	if err := a.stream.Send(request); err != nil {
		t.Fatal(err)
	}
}

// Leave ends the connection.
func (a *Agent) Leave() { a.leave() }

// ads opens a stream to istiod. It ends when leave is called, or with the test.
func (b *Bed) ads(t testing.TB) (stream adsv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient, leave func()) {
	t.Helper()
	conn := dial(t, b.XDS)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := adsv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	return stream, cancel
}
