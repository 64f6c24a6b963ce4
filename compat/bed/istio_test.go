//go:build kube

package bed_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/compat/bed"
)

const (
	cluster = "outbound|9000||hello.shop.mesh"
	entries = "/apis/networking.istio.io/v1/namespaces/shop/workloadentries/hello-"
)

// TestWorkloadEntry follows the Healthy condition of a WorkloadEntry through istiod to the calls of a
// gRPC client.
func TestWorkloadEntry(t *testing.T) {
	b := bed.Start(t, bed.Options{Istio: true})
	b.Admin.Apply(t, mesh(3))
	var addresses []string
	for i := range 3 {
		address := fmt.Sprintf("10.2.1.%d:9000", i+1)
		b.Service(t, bed.ServiceOptions{Service: "hello", Instance: fmt.Sprint(i), Address: address})
		setHealthy(t, b, i, "True")
		addresses = append(addresses, address)
	}
	endpoints := b.Endpoints(t, "shop", cluster)
	endpoints.Await(t, addresses...)

	load := b.Load(t, b.Dial(t, "shop", "xds:///hello.shop.mesh:9000"), 4)
	for _, address := range addresses {
		load.Next(t, address)
	}
	var removed, added, quiet, used []time.Duration
	for range 10 {
		wrote := time.Now()
		setHealthy(t, b, 2, "False")
		removed = append(removed, endpoints.Await(t, addresses[:2]...).At.Sub(wrote))
		quiet = append(quiet, load.Quiet(t, addresses[2], 300*time.Millisecond).Sub(wrote))

		wrote = time.Now()
		setHealthy(t, b, 2, "True")
		used = append(used, load.Next(t, addresses[2]).Sub(wrote))
		added = append(added, endpoints.Await(t, addresses...).At.Sub(wrote))
	}
	report(t, "False -> EDS without the entry", removed)
	report(t, "False -> end of its last call", quiet)
	report(t, "True -> EDS with the entry", added)
	report(t, "True -> its first call", used)
	calls, failed := load.Stop()
	t.Logf("calls: %v, failed: %d", calls, len(failed))
	if len(failed) > 0 {
		t.Errorf("%d calls failed, first %v", len(failed), failed[0])
	}
}

// TestPodsThroughIstio follows the gates of Pods through the kubelet, the EndpointSlice and istiod to the
// calls of a gRPC client.
func TestPodsThroughIstio(t *testing.T) {
	const pods = 4
	b := bed.Start(t, bed.Options{Kubelet: true, Istio: true})
	b.Admin.Apply(t, service)
	b.Service(t, bed.ServiceOptions{Service: "hello", Instance: "a", Address: "0.0.0.0:9000"})
	var addresses []string
	for i := range pods {
		b.Admin.Apply(t, pod(i))
		addresses = append(addresses, podIP(i)+":9000")
	}
	for i := range pods {
		b.Admin.Await(t, podPath(i), "ContainersReady by the probe", bed.Condition("ContainersReady", "True"))
		setGate(t, b, i, "True")
	}
	endpoints := b.Endpoints(t, "default", "outbound|9000||hello.default.svc.cluster.local")
	endpoints.Await(t, addresses...)
	load := b.Load(t, b.Dial(t, "default", "xds:///hello.default.svc.cluster.local:9000"), 4)
	for _, address := range addresses {
		load.Next(t, address)
	}
	var quiet, used []time.Duration
	for i := range pods - 1 {
		wrote := time.Now()
		setGate(t, b, i, "False")
		quiet = append(quiet, load.Quiet(t, addresses[i], 2*time.Second).Sub(wrote))
	}
	endpoints.Await(t, addresses[pods-1])
	for i := range pods - 1 {
		wrote := time.Now()
		setGate(t, b, i, "True")
		used = append(used, load.Next(t, addresses[i]).Sub(wrote))
	}
	report(t, "gate False -> end of its last call", quiet)
	report(t, "gate True -> its first call", used)
	calls, failed := load.Stop()
	t.Logf("calls: %v, failed: %d", calls, len(failed))
	if len(failed) > 0 {
		t.Errorf("%d calls failed, first %v", len(failed), failed[0])
	}
}

// TestIstiodKeeps shows what istiod does while the API server is away and after its own restart.
func TestIstiodKeeps(t *testing.T) {
	b := bed.Start(t, bed.Options{Istio: true})
	b.Admin.Apply(t, mesh(2))
	setHealthy(t, b, 0, "True")
	setHealthy(t, b, 1, "False")
	b.Endpoints(t, "shop", cluster).Await(t, "10.2.1.1:9000")

	b.APIServer.Kill()
	b.Endpoints(t, "shop", cluster).Await(t, "10.2.1.1:9000")
	b.APIServer.Start()
	b.Istiod.Kill()
	b.Istiod.Start()
	t.Logf("restarted: API server in %d ms, istiod in %d ms", b.APIServer.Took.Milliseconds(), b.Istiod.Took.Milliseconds())
	endpoints := b.Endpoints(t, "shop", cluster)
	endpoints.Await(t, "10.2.1.1:9000")
	setHealthy(t, b, 1, "True")
	endpoints.Await(t, "10.2.1.1:9000", "10.2.1.2:9000")
}

// TestAgent shows another writer of the condition, which takes it away when it leaves.
func TestAgent(t *testing.T) {
	b := bed.Start(t, bed.Options{Istio: true, IstioEnv: []string{"PILOT_WORKLOAD_ENTRY_GRACE_PERIOD=100ms"}})
	b.Admin.Apply(t, mesh(1))
	setHealthy(t, b, 0, "True")
	endpoints := b.Endpoints(t, "shop", cluster)
	endpoints.Await(t, "10.2.1.1:9000")

	agent := b.Agent(t, "shop", "hello-0")
	agent.Report(t, false, "the probe failed")
	b.Admin.Await(t, entries+"0", "Healthy False by istiod", bed.Condition("Healthy", "False"))
	endpoints.Await(t)
	agent.Report(t, true, "")
	endpoints.Await(t, "10.2.1.1:9000")

	setHealthy(t, b, 0, "True")
	agent.Leave()
	b.Admin.Await(t, entries+"0", "no condition", bed.Condition("Healthy", ""))
	endpoints.Await(t)
	setHealthy(t, b, 0, "True")
	endpoints.Await(t, "10.2.1.1:9000")
	b.Admin.Await(t, entries+"0", "no condition again", bed.Condition("Healthy", ""))
}

// mesh is a service hello.shop.mesh with entries at 10.2.1.1 and following, whose health istiod follows.
func mesh(n int) string {
	var s strings.Builder
	s.WriteString(`
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {namespace: shop, name: hello}
spec:
  hosts: [hello.shop.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  workloadSelector: {labels: {app: hello}}
`)
	for i := range n {
		fmt.Fprintf(&s, `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  namespace: shop
  name: hello-%d
  annotations: {proxy.istio.io/health-checks-enabled: "true"}
spec: {address: 10.2.1.%d, labels: {app: hello}}
`, i, i+1)
	}
	return s.String()
}

func setHealthy(t *testing.T, b *bed.Bed, entry int, status string) {
	t.Helper()
	b.Admin.Call(t, http.MethodPatch, fmt.Sprint(entries, entry, "/status"), bed.Object{
		"status": bed.Object{"conditions": []bed.Object{{"type": "Healthy", "status": status}}},
	})
}
