//go:build kube

package kubewriter_test

import (
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/compat/bed"
	"github.com/meshhealth/meshhealth/health"
)

// TestGate follows a status from the process through the coordinator and the writer to the condition of
// its Pod, to Ready, and to the EndpointSlice.
func TestGate(t *testing.T) {
	r := start(t, bed.Options{Kubelet: true})
	process := r.service(0)
	r.Admin.Apply(t, pod(0))
	r.Admin.Await(t, podPath(0), "ContainersReady", bed.Condition("ContainersReady", "True"))
	if o := r.Admin.Get(t, podPath(0)); o.ConditionStatus(gate) != "" || o.ConditionStatus("Ready") == "True" {
		t.Errorf("without a writer, the Pod has the gate %q and Ready %q", o.ConditionStatus(gate), o.ConditionStatus("Ready"))
	}
	r.writer("a")
	events := r.Admin.Watch(t, podPath(0))
	next(t, events, "Ready", bed.Condition("Ready", "True"))

	var out, in []time.Duration
	for range 5 {
		began := time.Now()
		process.Set(t, health.NotServing)
		out = append(out, next(t, events, "gate False", bed.Condition(gate, "False")).At.Sub(began))
		began = time.Now()
		process.Set(t, health.Serving)
		in = append(in, next(t, events, "gate True", bed.Condition(gate, "True")).At.Sub(began))
	}
	report(t, "NOT_SERVING -> gate False", out, 500*time.Millisecond)
	report(t, "SERVING -> gate True", in, 500*time.Millisecond)
}
