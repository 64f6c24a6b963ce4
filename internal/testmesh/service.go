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

// checkEvery is how often the check of a service runs.
const checkEvery = time.Second

// service is one process that embeds our libraries: a server with one check
// whose result the script sets, registered by the client library.
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

// start runs the process; it need not be registered for that.
func (m *Mesh) startService(id health.ID, address string) (*service, error) {
	s := &service{id: id, host: m.net.host(address)}
	if err := s.open(); err != nil {
		return nil, err
	}
	var err error
	s.client, err = client.New(client.Config{
		Coordinator: "passthrough:///" + coordinatorAddress,
		Credentials: insecure.NewCredentials(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return m.net.dial(ctx, coordinatorAddress)
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

// open serves and runs the checks.
func (s *service) open() (err error) {
	s.health, err = server.New(server.Config{
		Service: s.id.Service, Details: func(context.Context) bool { return true },
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

// linger stays registered for a moment, so that who watches sees the drain.
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

// act does what a script says to it.
func (s *service) act(verb, text string) error {
	switch verb {
	case "pass":
		s.set(nil)
	case "warn":
		s.set(health.Degrade(errors.New(text)))
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

// drain leaves as a service should.
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

// kill ends the process without a word.
func (s *service) kill() {
	s.host.kill()
	s.grpc.Stop()
	s.close()
}

// close joins everything.
func (s *service) close() {
	s.stop()
	_ = s.client.Close()
	s.wg.Wait()
}

// legacy is a stock grpc-go health server, registered by hand.
type legacy struct {
	host   *host
	health *stock.Server
	grpc   *grpc.Server
	wg     sync.WaitGroup
}

func (m *Mesh) startLegacy(address string, pollOnly bool) *legacy {
	s := &legacy{host: m.net.host(address), health: stock.NewServer()}
	s.open(pollOnly)
	return s
}

func (s *legacy) open(pollOnly bool) {
	s.grpc = grpc.NewServer()
	if pollOnly {
		healthpb.RegisterHealthServer(s.grpc, checkOnly{s.health})
	} else {
		healthpb.RegisterHealthServer(s.grpc, s.health)
	}
	l := s.host.open()
	s.wg.Go(func() { _ = s.grpc.Serve(l) })
}

func (s *legacy) act(verb, _ string) error {
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

func (s *legacy) kill() {
	s.host.kill()
	s.grpc.Stop()
	s.wg.Wait()
}

// checkOnly is a health server without Watch, as many languages have them.
type checkOnly struct{ healthpb.HealthServer }

// Watch is not implemented.
func (checkOnly) Watch(r *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return healthpb.UnimplementedHealthServer{}.Watch(r, s)
}
