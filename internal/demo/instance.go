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

// Instance is one instance of a service, for a process of its own.
type Instance struct {
	Service, Name string
	Backend       string // HOST:PORT of what it depends on
	Coordinator   string // HOST:PORT
	Zone          string
}

// The checks are frequent and quick to judge, for the sake of the story.
const (
	checkEvery   = time.Second
	checkTimeout = 500 * time.Millisecond
	failAfter    = 2
	leaseTTL     = 3 * time.Second
	leaveTime    = 3 * time.Second
)

// RunInstance serves an instance until ctx ends; then it drains.
func RunInstance(ctx context.Context, i Instance) error {
	return i.serve(ctx, nil)
}

// serve calls started, if there is one, with what the instance publishes.
func (i *Instance) serve(ctx context.Context, started func(*feed.Feed)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{Coordinator: i.Coordinator, Insecure: true})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer c.Close() //nolint:errcheck // what counts is deregistered before
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
	return run(ctx, s, g, l)
}

// server is made as any service would make it.
func (i *Instance) server(onDrain func(context.Context) error) (*server.Server, error) {
	s, err := server.New(server.Config{
		Service: i.Service, OnDrain: []func(context.Context) error{onDrain},
		Details:     func(context.Context) bool { return true }, // nothing here is secret
		Propagation: 300 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	return s, s.Add(server.Check{
		Name: "database", Run: ping(i.Backend), Every: checkEvery, Timeout: checkTimeout, FailAfter: failAfter,
	})
}

func (i *Instance) registration(at net.Addr, f *feed.Feed) client.Instance {
	return client.Instance{
		Service: i.Service, Instance: i.Name, Address: at.String(), Labels: map[string]string{"demo": "true"},
		Zone: i.Zone, Version: "1.0.0", TTL: leaseTTL, Feed: f, Details: true,
	}
}

// run serves until ctx ends, then drains and stops.
func run(ctx context.Context, s *server.Server, g *grpc.Server, l net.Listener) error {
	checking, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served, checked := make(chan error, 1), make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	go func() { checked <- s.Run(checking) }()
	<-ctx.Done()
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	err := s.Drain(leaving)
	stop()
	g.GracefulStop()
	return errors.Join(err, <-served, <-checked)
}

// own returns what an instance publishes of itself.
func own(f *feed.Feed, service string) (health.State, bool) {
	e, ok := f.Get(health.ID{Service: service})
	if !ok {
		return health.State{}, false
	}
	return e.State, true
}
