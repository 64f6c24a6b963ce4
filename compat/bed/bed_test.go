//go:build kube

package bed_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/compat/bed"
	"github.com/meshhealth/meshhealth/health"
)

// gate is the condition of the tests. It belongs to nobody but them.
const gate = "test.meshhealth.dev/gate"

// TestComponents starts everything, and stops, kills and starts each component again.
func TestComponents(t *testing.T) {
	b := bed.Start(t, bed.Options{Kubelet: true, Istio: true})
	for name, p := range map[string]*bed.Process{
		"etcd": b.Etcd, "kube-apiserver": b.APIServer, "kube-controller-manager": b.Slices, "hollow": b.Kubelet, "istiod": b.Istiod,
	} {
		t.Logf("%-24s ready in %4d ms, %3d MB", name, p.Took.Milliseconds(), p.Resident()>>20)
	}
	version := b.Admin.Get(t, "/version")
	t.Logf("Kubernetes %s", version.Text("gitVersion"))

	b.APIServer.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if status, _, err := b.Admin.Do(ctx, http.MethodGet, "/version", "", nil); err == nil {
		t.Errorf("a paused API server answered with %d", status)
	}
	b.APIServer.Resume()
	b.Admin.Get(t, "/version")

	for _, p := range []*bed.Process{b.APIServer, b.Istiod, b.Kubelet, b.Slices} {
		p.Kill()
		if p.Running() {
			t.Error("a process runs after Kill")
		}
		p.Start()
	}
	b.Admin.Await(t, "/api/v1/nodes/"+bed.NodeName, "Ready", bed.Condition("Ready", "True"))
}

// TestGate follows the readiness gates of Pods to the EndpointSlice. The kubelet probes real servers.
func TestGate(t *testing.T) {
	const pods = 10
	b := bed.Start(t, bed.Options{Kubelet: true})
	b.Admin.Apply(t, service)
	process := b.Service(t, bed.ServiceOptions{Service: "hello", Instance: "a", Address: "0.0.0.0:9000"})
	for i := range pods {
		b.Admin.Apply(t, pod(i))
	}
	for i := range pods {
		b.Admin.Await(t, podPath(i), "ContainersReady by the probe", bed.Condition("ContainersReady", "True"))
		o := b.Admin.Await(t, podPath(i), "not Ready without the gate", bed.Condition("Ready", "False"))
		if ip := o.Text("status", "podIP"); ip != podIP(i) {
			t.Errorf("the Pod has the address %q", ip)
		}
		if got := o.ConditionStatus(gate); got != "" {
			t.Errorf("nobody set the gate, and it is %q", got)
		}
	}

	slices := b.Admin.Watch(t, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dhello")
	var ready, listed, again []time.Duration
	for i := range pods {
		events := b.Admin.Watch(t, podPath(i))
		wrote := time.Now()
		setGate(t, b, i, "True")
		ready = append(ready, await(t, events, bed.Condition("Ready", "True")).Sub(wrote))
		listed = append(listed, await(t, slices, endpointReady(i, true)).Sub(wrote))
	}
	report(t, "gate True -> Pod Ready", ready)
	report(t, "gate True -> EndpointSlice", listed)

	// The kubelet looks at a Pod that has just changed once a second.
	events := b.Admin.Watch(t, podPath(0))
	for i := range 6 {
		status := []string{"False", "True"}[i%2]
		wrote := time.Now()
		setGate(t, b, 0, status)
		again = append(again, await(t, events, bed.Condition("Ready", status)).Sub(wrote))
		await(t, slices, endpointReady(0, status == "True"))
	}
	report(t, "gate changed again -> Pod Ready", again)

	for _, c := range []struct {
		what   string
		change func()
		ready  string
	}{
		{"NOT_SERVING", func() { process.Set(t, health.NotServing) }, "False"},
		{"SERVING", func() { process.Set(t, health.Serving) }, "True"},
		{"DEGRADED and NOT_SERVING", func() { process.Set(t, health.Degraded); process.Set(t, health.NotServing) }, "False"},
		{"DEGRADED", func() { process.Set(t, health.Degraded) }, "True"},
		{"process killed", process.Kill, "False"},
		{"process started", process.Start, "True"},
		{"process paused", process.Pause, "False"},
		{"process resumed", process.Resume, "True"},
	} {
		began := time.Now()
		c.change()
		t.Logf("%s -> Ready %s: %d ms", c.what, c.ready, await(t, events, bed.Condition("Ready", c.ready)).Sub(began).Milliseconds())
	}
}

// TestServiceAccount has a user with the right to write the status of Pods, and to do nothing else.
func TestServiceAccount(t *testing.T) {
	b := bed.Start(t, bed.Options{Kubelet: true})
	b.Admin.Apply(t, pod(0)+`
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: gates}
rules: [{apiGroups: [""], resources: [pods/status], verbs: [patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: gates}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: gates}
subjects: [{kind: ServiceAccount, namespace: mesh, name: writer}]
---
apiVersion: v1
kind: Namespace
metadata: {name: mesh}
`)
	writer := b.ServiceAccount(t, "mesh", "writer")
	for _, c := range []struct {
		method, path, contentType, body string
		want                            int
	}{
		{"PATCH", podPath(0) + "/status", bed.StrategicPatch, gatePatch("True"), http.StatusOK},
		{"PATCH", podPath(0), bed.MergePatch, `{"metadata":{"labels":{"a":"b"}}}`, http.StatusForbidden},
		{"GET", podPath(0), "", "", http.StatusForbidden},
		{"GET", "/api/v1/namespaces/default/secrets", "", "", http.StatusForbidden},
		{"DELETE", podPath(0), "", "", http.StatusForbidden},
	} {
		status, answer, err := writer.Do(t.Context(), c.method, c.path, c.contentType, []byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if status != c.want {
			t.Errorf("%s %s: %d, want %d: %.300s", c.method, c.path, status, c.want, answer)
		}
	}
	if got := b.Admin.Get(t, podPath(0)).ConditionStatus(gate); got != "True" {
		t.Errorf("the gate is %q after the patch", got)
	}
}

const service = `
apiVersion: v1
kind: Service
metadata: {name: hello}
spec:
  selector: {app: hello}
  ports: [{name: grpc, port: 9000, targetPort: 9000}]
`

func podIP(i int) string { return fmt.Sprintf("10.2.9.%d", i+1) }

func podPath(i int) string { return fmt.Sprintf("/api/v1/namespaces/default/pods/hello-%d", i) }

// pod is a Pod with a gate and a gRPC probe.
func pod(i int) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: hello-%d
  labels: {app: hello}
  annotations: {%s: %s}
spec:
  nodeName: %s
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  readinessGates: [{conditionType: %s}]
  containers:
  - name: main
    image: none
    readinessProbe: {grpc: {port: 9000}, periodSeconds: 1, failureThreshold: 1}
`, i, bed.PodIPAnnotation, podIP(i), bed.NodeName, gate)
}

func gatePatch(status string) string {
	return fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":%q}]}}`, gate, status)
}

func setGate(t *testing.T, b *bed.Bed, i int, status string) {
	t.Helper()
	code, answer, err := b.Admin.Do(t.Context(), http.MethodPatch, podPath(i)+"/status", bed.StrategicPatch, []byte(gatePatch(status)))
	if err != nil || code != http.StatusOK {
		t.Fatalf("%d %.500s, %v", code, answer, err)
	}
}

// endpointReady reports whether the endpoint of a Pod in an EndpointSlice is ready, or not.
func endpointReady(i int, want bool) func(bed.Object) bool {
	return func(o bed.Object) bool {
		endpoints, _ := o["endpoints"].([]any)
		for _, e := range endpoints {
			fields, _ := e.(map[string]any)
			endpoint := bed.Object(fields)
			if endpoint.Text("targetRef", "name") == fmt.Sprintf("hello-%d", i) {
				return endpoint.At("conditions", "ready") == want
			}
		}
		return false
	}
}

// await reads events until an object satisfies ok, and returns when it came.
func await(t *testing.T, events <-chan bed.Event, ok func(bed.Object) bool) time.Time {
	t.Helper()
	timeout := time.After(time.Minute)
	var last bed.Event
	for {
		select {
		case e, open := <-events:
			if !open {
				t.Fatalf("the watch ended; the last event was %v", last)
			}
			if last = e; ok(e.Object) {
				return e.At
			}
		case <-timeout:
			t.Fatalf("the awaited change did not come; the last event was %v", last)
		}
	}
}

// report prints the distribution of durations.
func report(t *testing.T, what string, all []time.Duration) {
	t.Helper()
	slices.Sort(all)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
	t.Logf("%s: p50 %s, max %s (n=%d)", what, ms(all[len(all)/2]), ms(all[len(all)-1]), len(all))
}
