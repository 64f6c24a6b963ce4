package grpchealth

import (
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
)

// BenchmarkStandardCheck makes one Check of grpc.health.v1 at a time, over a connection in
// memory. The allocations of the client are included.
func BenchmarkStandardCheck(b *testing.B) {
	for name, cause := range map[string]health.Cause{"without trailers": health.CauseOK, "with trailers": health.CauseForced} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, Config{})
			s := is("pay", health.Serving)
			s.Cause = cause
			w.publish(s)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.stock.Check(b.Context(), &healthpb.HealthCheckRequest{Service: "pay"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
