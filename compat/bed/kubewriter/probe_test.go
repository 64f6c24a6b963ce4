//go:build kube

package kubewriter_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/meshhealth/meshhealth/compat/bed"
)

// TestCoordinatorProbes has a real kubelet that probes a coordinator over gRPC and over HTTP. The Pod of
// the coordinator is Ready while its process answers.
func TestCoordinatorProbes(t *testing.T) {
	r := start(t, bed.Options{Kubelet: true})
	host, grpcPort, err := net.SplitHostPort(r.mesh)
	if err != nil {
		t.Fatal(err)
	}
	_, httpPort, err := net.SplitHostPort(r.meshHTTP)
	if err != nil {
		t.Fatal(err)
	}
	r.Admin.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: coordinator
  annotations: {%s: %s}
spec:
  nodeName: %s
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers:
  - name: grpc
    image: none
    readinessProbe: {grpc: {port: %s}, periodSeconds: 1, failureThreshold: 1}
  - name: http
    image: none
    readinessProbe: {httpGet: {path: /readyz, port: %s}, periodSeconds: 1, failureThreshold: 1}
`, bed.PodIPAnnotation, host, bed.NodeName, grpcPort, httpPort))
	const path = "/api/v1/namespaces/default/pods/coordinator"
	r.Admin.Await(t, path, "Ready", bed.Condition("Ready", "True"))
	r.coordinator.Kill()
	r.Admin.Await(t, path, "not Ready without a process", bed.Condition("Ready", "False"))
	r.coordinator.Start()
	r.Admin.Await(t, path, "Ready again", bed.Condition("Ready", "True"))
}
