package demo

import (
	"context"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/server"
)

// Instance describes one instance of a service of the demo.
type Instance struct {
	Service, Name string
	Backend       string // HOST:PORT of the backend that the instance checks
	Coordinator   string // HOST:PORT of the coordinator's gRPC listener
	Zone          string
}

// The settings of all instances. The times are short, so that each step of the demo is soon
// visible.
const (
	checkEvery   = time.Second
	checkTimeout = 500 * time.Millisecond
	failAfter    = 2
	leaseTTL     = 3 * time.Second
	leaveTime    = 3 * time.Second
)

// RunInstance serves an instance until ctx ends. It then drains and deregisters the instance,
// and returns.
func RunInstance(ctx context.Context, i Instance) error {
	return i.serve(ctx, nil)
}

// serve serves the instance until ctx ends, and then drains the instance. Before it serves, it
// calls started with the feed of the instance, unless started is nil.
func (i *Instance) serve(ctx context.Context, started func(*feed.Feed)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{Coordinator: i.Coordinator, Insecure: true})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer c.Close() //nolint:errcheck // a failed Close loses nothing, because the instance has already deregistered
	var registration *client.Registration
	s, err := i.server(func(ctx context.Context) error { return registration.Close(ctx) })
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if started != nil {
		started(s.Feed())
	}
	g := grpc.NewServer()
	s.Register(g)
	registration = c.RegisterAsync(i.registration(l.Addr(), s.Feed()))
	return serveUntil(ctx, s, g, l)
}

// server returns the health server of the instance. Its only check calls the backend.
func (i *Instance) server(onDrain func(context.Context) error) (*server.Server, error) {
	s, err := server.New(server.Config{
		Service: i.Service, OnDrain: []func(context.Context) error{onDrain},
		ShowReasons: func(context.Context) bool { return true }, // every caller may see the reasons of the demo
		Propagation: 300 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	return s, s.Add(server.Check{
		Name: "database", Run: pingBackend(i.Backend), Every: checkEvery, Timeout: checkTimeout, FailAfter: failAfter,
	})
}

func (i *Instance) registration(at net.Addr, f *feed.Feed) client.Instance {
	return client.Instance{
		Service: i.Service, Instance: i.Name, Address: at.String(), Labels: map[string]string{"demo": "true"},
		Zone: i.Zone, Version: "1.0.0", TTL: leaseTTL, Feed: f, ShowReasons: true,
	}
}

// serveUntil runs the servers of an instance until ctx ends. It then drains and stops them.
func serveUntil(ctx context.Context, s *server.Server, g *grpc.Server, l net.Listener) error {
	checkCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served, checked := make(chan error, 1), make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	go func() { checked <- s.Run(checkCtx) }()
	<-ctx.Done()
	drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	err := s.Drain(drainCtx)
	stop()
	g.GracefulStop()
	return errors.Join(err, <-served, <-checked)
}

// stateOf returns the state that a feed has for a service. It returns false if the feed has no state
// for the service.
func stateOf(f *feed.Feed, service string) (health.State, bool) {
	e, ok := f.Get(health.ID{Service: service})
	if !ok {
		return health.State{}, false
	}
	return e.State, true
}
