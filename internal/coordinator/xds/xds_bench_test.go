package xds_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
	"github.com/meshhealth/meshhealth/internal/routing"
)

func benchEndpoint(service string, i int, route health.Route) xds.Change {
	s := endpoint(service, i, route)
	return xds.Change{Service: service, Endpoint: xds.Endpoint{Endpoint: routing.EndpointOf(&s)}}
}

// BenchmarkFlip measures one flip of an endpoint until all clients have received it. Each client
// subscribes to all services.
func BenchmarkFlip(b *testing.B) {
	for _, c := range []struct{ services, endpoints, clients int }{{10_000, 10, 50}, {10, 10_000, 20}, {100, 1000, 50}} {
		b.Run(fmt.Sprintf("%dx%d/%d", c.services, c.endpoints, c.clients), func(b *testing.B) {
			f := feed.New(1, 0)
			server := xds.New(xds.Config{Feed: f})
			var names []string
			var changes []health.Change
			for s := range c.services {
				name := fmt.Sprintf("service-%05d", s)
				names = append(names, name)
				for i := range c.endpoints {
					changes = append(changes, health.Change{State: endpoint(name, i, health.RouteHealthy), Epoch: 1})
					changes[len(changes)-1].Revision = uint64(len(changes))
				}
			}
			f.Publish(changes)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			go func() { _ = server.Run(ctx) }()
			server.Loaded()
			for server.Stats().Services < c.services {
				runtime.Gosched()
			}
			listener, g := bufconn.Listen(64<<10), grpc.NewServer(grpc.ForceServerCodecV2(server.Codec()))
			discoverypb.RegisterAggregatedDiscoveryServiceServer(g, server)
			go func() { _ = g.Serve(listener) }()
			defer g.Stop()
			received := make(chan struct{}, 10_000)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range c.clients {
				go benchClient(b.Context(), listener, i, names, received)
			}
			for range c.clients * c.services {
				<-received
			}
			for server.Stats().Behind > 0 {
				runtime.Gosched()
			}
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&after)
			routes := []health.Route{health.RouteDegraded, health.RouteHealthy}
			start, n := cpu(), 0
			var applied time.Duration
			for b.Loop() {
				begun := time.Now()
				server.Apply([]xds.Change{benchEndpoint(names[0], 0, routes[n%2])})
				applied += time.Since(begun)
				for range c.clients {
					<-received
				}
				n++
			}
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(c.clients)/1024, "KiB/client")
			b.ReportMetric(float64(applied.Microseconds())/float64(n), "apply-µs")
			b.ReportMetric(float64((cpu()-start).Microseconds())/float64(n), "cpu-µs")
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchClient(ctx context.Context, listener *bufconn.Listener, i int, names []string, received chan<- struct{}) {
	conn, err := grpc.NewClient("passthrough:mem", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		panic(err)
	}
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		panic(err)
	}
	_ = stream.Send(&discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: fmt.Sprint("n", i)}, TypeUrl: edsURL, ResourceNamesSubscribe: names})
	for {
		m, err := stream.Recv()
		if err != nil {
			return
		}
		_ = stream.Send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: edsURL, ResponseNonce: m.GetNonce()})
		for range m.GetResources() {
			received <- struct{}{}
		}
	}
}

// BenchmarkApply measures one flip of an endpoint of a service without clients.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			server := xds.New(xds.Config{Feed: feed.New(1, 0)})
			var changes []xds.Change
			for i := range n {
				changes = append(changes, benchEndpoint("pay", i, health.RouteHealthy))
			}
			server.Apply(changes)
			flips := [][]xds.Change{{benchEndpoint("pay", 0, health.RouteDegraded)}, {benchEndpoint("pay", 0, health.RouteHealthy)}}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				server.Apply(flips[i%2])
				i++
			}
		})
	}
}
