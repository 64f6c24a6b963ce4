package testmesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// checkEvery is the interval between two runs of the check of a service.
const checkEvery = time.Second

// service is a simulated process with the server and the client of this module. The server has
// one check, whose result the script sets. The client registers the instance.
type service struct {
	id     health.ID
	host   *host
	health *server.Server
	grpc   *grpc.Server
	client *client.Client
	lease  *client.Registration
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	result error
}

// startService starts a service. It does not wait until the coordinator has accepted the
// registration.
func startService(n *Network, id health.ID, address string) (*service, error) {
	s := &service{id: id, host: n.host(address)}
	if err := s.open(); err != nil {
		return nil, err
	}
	var err error
	s.client, err = client.New(client.Config{
		Coordinator: "passthrough:///" + coordinatorAddress,
		Credentials: insecure.NewCredentials(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return n.Dial(ctx, coordinatorAddress)
		})},
	})
	if err != nil {
		return nil, err
	}
	s.lease = s.client.RegisterAsync(client.Instance{
		Service: id.Service, Instance: id.Instance, Address: address, Feed: s.health.Feed(),
	})
	return s, nil
}

// open starts the health server of the service, with its check.
func (s *service) open() (err error) {
	s.health, err = server.New(server.Config{
		Service: s.id.Service, ShowReasons: func(context.Context) bool { return true },
		OnDrain: []func(context.Context) error{linger, func(ctx context.Context) error { return s.lease.Close(ctx) }},
	})
	if err != nil {
		return err
	}
	if err := s.health.Add(server.Check{Name: "db", Every: checkEvery, Run: s.check}); err != nil {
		return err
	}
	s.grpc = grpc.NewServer()
	s.health.Register(s.grpc)
	l := s.host.open()
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.wg.Go(func() { _ = s.grpc.Serve(l) })
	s.wg.Go(func() { _ = s.health.Run(ctx) })
	return nil
}

// linger delays the deregistration by a second, so that watchers receive the status DRAINING.
func linger(context.Context) error {
	time.Sleep(time.Second)
	return nil
}

func (s *service) check(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.result
}

func (s *service) set(result error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result = result
}

// act executes a command of the script. It implements process.
func (s *service) act(verb, text string) error {
	switch verb {
	case "pass":
		s.set(nil)
	case "warn":
		s.set(health.Warning(errors.New(text)))
	case "fail":
		s.set(errors.New(text))
	case "maintain":
		return s.health.SetStatus(health.Maintenance, text)
	case "drain":
		return s.drain()
	default:
		return fmt.Errorf("a service cannot %s", verb)
	}
	return nil
}

// drain drains, deregisters and stops the service, in the order that docs/library.md
// recommends.
func (s *service) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.health.Drain(ctx); err != nil {
		return err
	}
	s.grpc.GracefulStop()
	s.close()
	return nil
}

// kill ends the simulated process without deregistering the instance.
func (s *service) kill() {
	s.host.kill()
	s.grpc.Stop()
	s.close()
}

// close ends the server and the client of the service, and waits for their goroutines.
func (s *service) close() {
	s.stop()
	_ = s.client.Close()
	s.wg.Wait()
}

// stockServer is a simulated process with the health server of grpc-go.
type stockServer struct {
	host   *host
	health *stock.Server
	grpc   *grpc.Server
	wg     sync.WaitGroup
}

func startStock(n *Network, address string, pollOnly bool) *stockServer {
	s := &stockServer{host: n.host(address), health: stock.NewServer()}
	s.open(pollOnly)
	return s
}

func (s *stockServer) open(pollOnly bool) {
	s.grpc = grpc.NewServer()
	if pollOnly {
		healthpb.RegisterHealthServer(s.grpc, checkOnly{s.health})
	} else {
		healthpb.RegisterHealthServer(s.grpc, s.health)
	}
	l := s.host.open()
	s.wg.Go(func() { _ = s.grpc.Serve(l) })
}

func (s *stockServer) act(verb, _ string) error {
	switch verb {
	case "pass":
		s.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	case "fail":
		s.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	case "drain":
		s.health.Shutdown()
		s.grpc.GracefulStop()
		s.wg.Wait()
	default:
		return fmt.Errorf("a stock server cannot %s", verb)
	}
	return nil
}

func (s *stockServer) kill() {
	s.host.kill()
	s.grpc.Stop()
	s.wg.Wait()
}

// checkOnly is a health server that implements only Check, as many servers in other languages
// do.
type checkOnly struct{ healthpb.HealthServer }

// Watch returns the error UNIMPLEMENTED.
func (checkOnly) Watch(r *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return healthpb.UnimplementedHealthServer{}.Watch(r, s)
}
