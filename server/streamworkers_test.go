package server_test

import (
	"testing"
	"testing/synctest"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/internal/wire"
	"github.com/meshhealth/meshhealth/server"
)

// A Check is answered although more Watches are open than the gRPC server has workers. All
// calls use one connection.
func TestWatchesKeepNoCheckWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		start(t, s)
		stock := healthpb.NewHealthClient(serve(t, s).dial(t))
		for i := range 2 * wire.StreamWorkers {
			stream, err := stock.Watch(t.Context(), &healthpb.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if m, err := stream.Recv(); err != nil || m.GetStatus() != up {
				t.Fatalf("Watch %d: %v, %v", i, m, err)
			}
			if r, err := stock.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || r.GetStatus() != up {
				t.Fatalf("Check with %d open Watches: %v, %v", i+1, r, err)
			}
		}
	})
}
