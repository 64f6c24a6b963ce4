//go:build kube

package kubewriter_test

import (
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/compat/bed"
	"github.com/meshhealth/meshhealth/health"
)

const kubeService = `
apiVersion: v1
kind: Service
metadata: {name: hello}
spec:
  selector: {app: hello}
  ports: [{name: grpc, port: 9000, targetPort: 9000}]
`

// TestGate follows a status from the process through the coordinator and the writer to the condition of
// its Pod. From there the status goes to Ready, to the EndpointSlice, to istiod's endpoints and to the
// calls of a client.
func TestGate(t *testing.T) {
	r := start(t, bed.Options{Kubelet: true, Istio: true})
	r.Admin.Apply(t, kubeService)
	first, second := r.service(0), r.service(1)
	r.Admin.Apply(t, pod(0))
	r.Admin.Apply(t, pod(1))
	for i := range 2 {
		r.Admin.Await(t, podPath(i), "ContainersReady", bed.Condition("ContainersReady", "True"))
		if o := r.Admin.Get(t, podPath(i)); o.ConditionStatus(gate) != "" || o.ConditionStatus("Ready") == "True" {
			t.Errorf("without a writer, %s has the gate %q and Ready %q", podName(i), o.ConditionStatus(gate), o.ConditionStatus("Ready"))
		}
	}
	r.writer("a")
	endpoints := r.Endpoints(t, "default", "outbound|9000||hello.default.svc.cluster.local")
	endpoints.Await(t, podIP(0)+":9000", podIP(1)+":9000")
	load := r.Load(t, r.Dial(t, "default", "xds:///hello.default.svc.cluster.local:9000"), 4)
	load.Next(t, podIP(0)+":9000")
	load.Next(t, podIP(1)+":9000")

	events := r.Admin.Watch(t, podPath(1))
	var out, in, quiet, used []time.Duration
	for range 5 {
		began := time.Now()
		second.Set(t, health.NotServing)
		out = append(out, next(t, events, "gate False", bed.Condition(gate, "False")).At.Sub(began))
		quiet = append(quiet, load.Quiet(t, podIP(1)+":9000", 300*time.Millisecond).Sub(began))
		began = time.Now()
		second.Set(t, health.Serving)
		in = append(in, next(t, events, "gate True", bed.Condition(gate, "True")).At.Sub(began))
		used = append(used, load.Next(t, podIP(1)+":9000").Sub(began))
	}
	report(t, "NOT_SERVING -> gate False", out, 500*time.Millisecond)
	report(t, "SERVING -> gate True", in, 500*time.Millisecond)
	// The kubelet looks at a Pod that has just changed once a second.
	report(t, "NOT_SERVING -> end of the last call", quiet, 5*time.Second)
	report(t, "SERVING -> first call", used, 5*time.Second)

	second.Set(t, health.Degraded)
	next(t, events, "the reason Degraded", func(o bed.Object) bool { return reasonOf(o) == "Degraded" })
	// The probe of the kubelet may still be late with an earlier status.
	r.Admin.Await(t, podPath(1), "Ready while DEGRADED", bed.Condition("Ready", "True"))
	later := r.Admin.Watch(t, podPath(1))
	for range 100 {
		load.Next(t, podIP(1)+":9000")
	}
	for len(later) > 0 {
		if o := (<-later).Object; o.ConditionStatus(gate) != "True" || o.ConditionStatus("Ready") != "True" {
			t.Errorf("while DEGRADED, the gate is %q and Ready %q; want True", o.ConditionStatus(gate), o.ConditionStatus("Ready"))
		}
	}
	calls, failed := load.Stop()
	t.Logf("calls: %v, failed: %d", calls, len(failed))
	if len(failed) > 0 {
		t.Errorf("%d calls failed, first %v", len(failed), failed[0])
	}
	first.Set(t, health.Serving)
	r.recreated()
}

func reasonOf(o bed.Object) string {
	conditions, _ := o.At("status", "conditions").([]any)
	for _, c := range conditions {
		if fields, _ := c.(map[string]any); fields["type"] == gate {
			reason, _ := fields["reason"].(string)
			return reason
		}
	}
	return ""
}

// recreated deletes a routable Pod and creates it again under its name, while its process is down. The new
// Pod waits for its own process.
func (r *rig) recreated() {
	r.t.Helper()
	t := r.t
	process := r.service(2)
	r.Admin.Apply(t, pod(2))
	old := r.Admin.Await(t, podPath(2), "the gate", bed.Condition(gate, "True"))
	process.Kill()
	r.Admin.Delete(t, podPath(2))
	// The kubelet deletes the Pod.
	await(t, "the deletion", func() bool {
		status, _, err := r.Admin.Do(t.Context(), "GET", podPath(2), "", nil)
		return err == nil && status == 404
	})
	r.Admin.Apply(t, pod(2))
	events := r.Admin.Watch(t, podPath(2))
	for answered := false; !answered; {
		e := next(t, events, "an answer about the new Pod", func(bed.Object) bool { return true })
		switch e.Object.ConditionStatus(gate) {
		case "True":
			t.Fatalf("the new Pod is routable, and its process does not run (UIDs %s and %s)", old.Text("metadata", "uid"), e.Object.Text("metadata", "uid"))
		case "False":
			answered = true
		}
	}
	process.Start()
	next(t, events, "the gate of the new Pod", bed.Condition(gate, "True"))
}
