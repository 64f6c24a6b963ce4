package coordinator_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/nettest"
	"github.com/meshhealth/meshhealth/internal/testmesh"
)

// startWith starts a coordinator with one static instance, pay/a. The function stop ends it
// gracefully.
func startWith(t *testing.T, network *testmesh.Network, kept store.Store) (stop func()) {
	t.Helper()
	c, err := coordinator.New(t.Context(), coordinator.Config{
		Listener: network.Listen(coordinatorAt), HTTP: coordinator.Off, Store: kept,
		Dial: coordinator.Dial{Context: network.Dial}, Logger: slog.New(slog.DiscardHandler),
		Static: []coordinator.Target{{Service: "pay", Instance: "a", Address: at}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the coordinator ended with: %v", err)
		}
		network.Kill(coordinatorAt)
	}
}

// TestEnvoyOfARestartedCoordinator: the coordinator was away for a day and cannot reach an
// instance that received traffic. For an Envoy that probes the coordinator the instance stays
// healthy. Only the word of the instance itself takes it out.
func TestEnvoyOfARestartedCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, kept := testmesh.NewNetwork(), openStore{store.NewMemory(0)}
		target, g := stock.NewServer(), grpc.NewServer()
		target.SetServingStatus("pay", healthpb.HealthCheckResponse_SERVING)
		healthpb.RegisterHealthServer(g, target)
		served := make(chan error, 1)
		l := network.Listen(at)
		go func() { served <- g.Serve(l) }()
		t.Cleanup(func() { g.Stop(); <-served })

		envoy := &nettest.EnvoyChecker{
			Dial:    func() (net.Conn, error) { return network.Dial(t.Context(), coordinatorAt) },
			Service: "pay", Hostname: "a.instance.meshhealth",
		}
		t.Cleanup(envoy.Close)
		probes := func(when string, want bool) {
			t.Helper()
			synctest.Wait()
			if v := envoy.Probe(); v.Healthy != want || v.Network {
				t.Errorf("%s: %+v, want healthy: %v", when, v, want)
			}
		}

		stop := startWith(t, network, kept)
		time.Sleep(time.Minute)
		probes("before", true)
		stop()
		network.Hang(at)
		time.Sleep(24 * time.Hour)
		stop = startWith(t, network, kept)
		probes("right after the restart", true)
		for range 20 {
			time.Sleep(30 * time.Second)
			probes("while the instance is silent", true)
		}
		network.Resume(at)
		time.Sleep(time.Minute)
		probes("when the instance answers", true)
		target.SetServingStatus("pay", healthpb.HealthCheckResponse_NOT_SERVING)
		time.Sleep(health.DefaultUnreachableAfter)
		probes("when the instance says NOT_SERVING", false)
		stop()
		stop = startWith(t, network, kept)
		probes("after another restart", false)
		stop()
	})
}
