package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/check"
)

// Instance describes one instance of a service of the demo.
type Instance struct {
	Service, Name, Zone, Team, Version string
	Storage                            string // HOST:PORT of the storage of the service
	Flags                              string // HOST:PORT of the feature flags; empty means that the instance needs none
	Coordinator                        string // HOST:PORT at which the instance reaches the coordinator
	Needs                              []Need
	// Depth is the length of the longest chain of dependencies of the service. The instance first
	// checks its needs when the instances that it needs have started.
	Depth int
}

// Need is an instance of another service that an instance calls.
type Need struct {
	Service, Address string
	Soft             bool // true means that the instance is only degraded without it
}

// The settings of all instances. The times are short, so that each step of the demo is soon
// visible.
const (
	checkEvery   = 1500 * time.Millisecond
	checkTimeout = 1400 * time.Millisecond
	failAfter    = 2
	// staleAfter is longer than the time for which a process is frozen, so that a process that
	// continues does not begin with stale checks.
	staleAfter = 30 * time.Second
	// startEach is the time from the first checks of an instance to those of its dependents.
	startEach = 350 * time.Millisecond
	// leaseTTL is so long that a silent instance is suspect before its lease ends.
	leaseTTL  = 2 * unreachableAfter
	leaveTime = 4 * time.Second
	// leaveSlowly is the time for which a child process is DRAINING before it ends.
	leaveSlowly = 2 * time.Second
)

// RunInstance serves an instance on a free port until ctx ends. It then drains and deregisters the
// instance, and returns.
func RunInstance(ctx context.Context, i Instance) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return i.serve(ctx, l, l.Addr().String(), leaveSlowly, nil)
}

// serve serves the instance on l until ctx ends, and then drains the instance. The coordinator
// reaches l at the address via. The instance is DRAINING for the time leave. Before it serves, it
// calls started with the feed of the instance, unless started is nil.
func (i *Instance) serve(ctx context.Context, l net.Listener, via string, leave time.Duration, started func(*feed.Feed)) error {
	c, err := client.New(client.Config{Coordinator: i.Coordinator, Insecure: true, Logger: errorLogger()})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer c.Close() //nolint:errcheck // a failed Close loses nothing, because the instance has already deregistered
	var registration *client.Registration
	s, hangUp, err := i.server(func(ctx context.Context) error {
		sleep(ctx, leave)
		_ = registration.Close(ctx) // without the coordinator, the instance leaves when its lease ends
		return nil
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer hangUp()
	if started != nil {
		started(s.Feed())
	}
	g := grpc.NewServer()
	s.Register(g)
	registration = c.RegisterAsync(i.registration(l.Addr().String(), via, s.Feed()))
	return serveUntil(ctx, s, g, l)
}

// errorLogger returns a logger for errors only. The demo causes outages, so that warnings about
// them say nothing new.
func errorLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// server returns the health server of the instance with all checks. hangUp closes the connections
// of the checks.
func (i *Instance) server(onDrain func(context.Context) error) (s *server.Server, hangUp func(), err error) {
	s, err = server.New(server.Config{
		Service: i.Service, OnDrain: []func(context.Context) error{onDrain},
		ShowReasons: func(context.Context) bool { return true }, // every caller may see the reasons of the demo
		Logger:      errorLogger(),
	})
	if err != nil {
		return nil, nil, err
	}
	checks := []server.Check{newPing("storage", i.Storage)}
	if i.Flags != "" {
		flags := newPing("feature-flags", i.Flags)
		flags.OnFail = server.Degrade
		checks = append(checks, flags)
	}
	var conns []*grpc.ClientConn
	hangUp = func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	for _, n := range i.Needs {
		conn, err := grpc.NewClient(n.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		conns = append(conns, conn)
		c := n.check(conn)
		c.InitialDelay = time.Duration(i.Depth) * startEach
		checks = append(checks, c)
	}
	return s, hangUp, s.Add(checks...)
}

func newCheck(name string, run func(context.Context) error) server.Check {
	return server.Check{
		Name: name, Run: run, Every: checkEvery, Timeout: checkTimeout, FailAfter: failAfter, StaleAfter: staleAfter,
	}
}

// newPing returns a check of the backend at an address. One slow answer does not count, because the
// machine may be busy.
func newPing(name, address string) server.Check {
	c := newCheck(name, pingBackend(address))
	c.DegradeAfter = 2
	return c
}

// check returns the check of a need. The check asks for the health of the other instance. A soft need
// may be DEGRADED.
func (n *Need) check(conn *grpc.ClientConn) server.Check {
	ask := check.GRPC(conn, n.Service)
	c := newCheck(n.Service, func(ctx context.Context) error {
		err := ask(ctx)
		if n.Soft && health.IsWarning(err) {
			return nil
		}
		return shorten(err)
	})
	if n.Soft {
		c.OnFail = server.Degrade
	}
	return c
}

// shorten removes the reason from an error about the status of another service. Otherwise each
// service would add its name to a reason that passes through it.
func shorten(err error) error {
	if err == nil {
		return nil
	}
	text, _, _ := strings.Cut(err.Error(), ": ")
	switch {
	case !strings.HasPrefix(text, "it is "):
		return err
	case health.IsWarning(err):
		return health.Warnf("%s", text)
	}
	return fmt.Errorf("%s", text)
}

// registration returns the registration of the instance. The coordinator reaches the instance at
// via, and other services reach it at the address at.
func (i *Instance) registration(at, via string, f *feed.Feed) client.Instance {
	return client.Instance{
		Service: i.Service, Instance: i.Name, Address: via, Traffic: health.Traffic{Address: at},
		Labels: map[string]string{"team": i.Team}, Zone: i.Zone, Version: i.Version,
		TTL: leaseTTL, Feed: f, ShowReasons: true,
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
	_ = s.Drain(drainCtx) // the instance stops anyway
	stop()
	g.Stop()
	return errors.Join(<-served, <-checked)
}
