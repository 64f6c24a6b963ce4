//go:build e2e

package e2e

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// TestGrpcurl calls the methods of a coordinator with grpcurl.
func TestGrpcurl(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mesh.sock")
	_, at, _ := coordinator(t, "--memory", "--socket", socket)
	servers, names := fleet(t, at, 2)
	s := watch(t, at)
	s.until(pb.Status_STATUS_SERVING, names...)
	servers[0].SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	s.until(pb.Status_STATUS_DEGRADED, "legacy")

	for _, c := range []struct {
		request, method string
		want            []string
	}{
		{`{"service":"legacy"}`, "grpc.health.v1.Health/Watch", []string{`"status": "SERVING"`}},
		{`{"service":"nobody"}`, "grpc.health.v1.Health/Watch", []string{"SERVICE_UNKNOWN"}},
		{`{"names":["legacy","nobody"]}`, "meshhealth.v1.HealthService/Watch", []string{"STATUS_DEGRADED", "STATUS_SERVICE_UNKNOWN", `"snapshotEnd": true`, "resumeToken"}},
	} {
		t.Run(c.method+c.request, func(t *testing.T) {
			stream := start(t, ".", grpcurl, "-plaintext", "-d", c.request, at, c.method)
			for _, w := range c.want {
				stream.line(regexp.QuoteMeta(w))
			}
		})
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"list", []string{"list"}, 0, []string{"grpc.health.v1.Health", "meshhealth.v1.HealthService", "meshhealth.v1.RegistryService", "meshhealth.v1.AdminService"}},
		{"standard Check of a degraded service", []string{"-v", "-d", `{"service":"legacy"}`, "grpc.health.v1.Health/Check"}, 0, []string{`"status": "SERVING"`, "meshhealth-status: DEGRADED", "meshhealth-unconfirmed: false"}},
		{"standard Check of an instance", []string{"-d", `{"service":"legacy/0"}`, "grpc.health.v1.Health/Check"}, 0, []string{`"status": "NOT_SERVING"`}},
		{"standard Check of the coordinator, which needs no trailers", []string{"-v", "grpc.health.v1.Health/Check"}, 0, []string{`"status": "SERVING"`, "Response trailers received:\n(empty)"}},
		{"standard Check of the mesh", []string{"-v", "-d", `{"service":"*"}`, "grpc.health.v1.Health/Check"}, 0, []string{`"status": "SERVING"`, "meshhealth-status: DEGRADED"}},
		{"standard Check of nobody", []string{"-d", `{"service":"nobody"}`, "grpc.health.v1.Health/Check"}, 64 + 5, []string{"NotFound"}},
		{"standard List", []string{"grpc.health.v1.Health/List"}, 0, []string{"legacy"}},
		{"Check", []string{"-d", `{"service":"legacy"}`, "meshhealth.v1.HealthService/Check"}, 0, []string{"STATUS_DEGRADED", `"reason": "1 of 2 routable, 1 NOT_SERVING"`}},
		{"Check of nobody", []string{"-d", `{"service":"nobody"}`, "meshhealth.v1.HealthService/Check"}, 64 + 5, []string{"NotFound"}},
		{"List", []string{"-d", `{"selector":{"statuses":["STATUS_NOT_SERVING"]}}`, "meshhealth.v1.HealthService/List"}, 0, []string{`"instance": "0"`}},
		{"GetCoordinator", []string{"meshhealth.v1.AdminService/GetCoordinator"}, 0, []string{`"instances": 2`, "grpc-watch"}},
		{"history", []string{"-d", `{"name":"legacy/0"}`, "meshhealth.v1.AdminService/ListTransitions"}, 0, []string{"STATUS_NOT_SERVING"}},
		{"Explain", []string{"-d", `{"name":"legacy"}`, "meshhealth.v1.AdminService/Explain"}, 0, []string{"legacy is DEGRADED for", "NOT_SERVING: legacy/0"}},
		{"Explain nobody", []string{"-d", `{"name":"nobody"}`, "meshhealth.v1.AdminService/Explain"}, 64 + 5, []string{"NotFound"}},
		{"override over TCP", []string{"-d", `{"name":"legacy","status":"STATUS_MAINTENANCE","reason":"x","ttl":"3600s"}`, "meshhealth.v1.AdminService/SetOverride"}, 64 + 7, []string{"PermissionDenied", "a caller without an identity may not override legacy", socket}},
		{"override of a zone nobody is in", []string{"-unix", "-d", `{"name":"zone=eu-9","status":"STATUS_MAINTENANCE","reason":"x","ttl":"3600s"}`, "meshhealth.v1.AdminService/SetOverride"}, 64 + 5, []string{"no registered instance matches"}},
		{"what is forced", []string{"meshhealth.v1.AdminService/ListOverrides"}, 0, []string{"{}"}},
		{"bad input", []string{"-d", `{"registrations":[{"service":"a b"}]}`, "meshhealth.v1.RegistryService/Register"}, 64 + 3, []string{"InvalidArgument", "registrations[0].service", "allowed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The arguments of grpcurl are flags, the address and the method, in this order.
			last := len(c.args) - 1
			args, address := append([]string{"-plaintext"}, c.args[:last]...), at
			if slices.Contains(args, "-unix") {
				address = socket
			}
			out, stderr, code := call(t, grpcurl, append(args, address, c.args[last])...)
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(out+stderr, w) {
					t.Errorf("no %s", w)
				}
			}
			if t.Failed() {
				t.Log(out + stderr)
			}
		})
	}
}
