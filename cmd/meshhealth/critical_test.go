package main

import (
	"strings"
	"testing"

	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// TestCritical checks that a zone remains routable without one of its normal services, but
// not without a critical one, and that explain names the reason.
func TestCritical(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	servers := map[string]*stock.Server{}
	for name, flags := range map[string][]string{"db": {"--critical"}, "shop": {"--protocol", "auto"}, "cart": nil, "mail": {"--optional"}} {
		s, address := stockServer(t)
		servers[name] = s
		l.does(0, append([]string{"register", name + "/a", "--address", address, "--zone", "eu-1"}, flags...)...)
	}
	whole := []string{"*", "*/eu-1"}
	become := func(status pb.Status) {
		t.Helper()
		for _, name := range whole {
			l.becomes(name, status)
		}
	}
	says := func(command string, code int, want ...string) {
		t.Helper()
		for _, name := range whole {
			stdout, _ := l.does(code, command, name)
			for _, text := range want {
				if !strings.Contains(stdout, text) {
					t.Errorf("%s %s: no %q in\n%s", command, name, text, stdout)
				}
			}
		}
	}
	for name := range servers {
		l.becomes(name, pb.Status_STATUS_SERVING)
	}
	become(pb.Status_STATUS_SERVING)

	servers["mail"].SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	l.becomes("mail", pb.Status_STATUS_NOT_SERVING)
	become(pb.Status_STATUS_SERVING)

	servers["shop"].SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	become(pb.Status_STATUS_DEGRADED)
	says("explain", 1, "of the normal services that count (2), 1 are routable; at least 1 must be", "these critical services does: db")
	says("status", 1, "2 of 4 routable, 2 NOT_SERVING")

	servers["cart"].SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	become(pb.Status_STATUS_NOT_SERVING)
	says("status", 2, "0 of 2 normal services routable, 1 must be")

	servers["shop"].SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	become(pb.Status_STATUS_DEGRADED)
	servers["db"].SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	become(pb.Status_STATUS_NOT_SERVING)
	says("explain", 2, "it is NOT_SERVING because these critical services are: db")
	says("status", 2, "1 critical NOT_SERVING")
}
