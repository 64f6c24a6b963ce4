package chaos

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// target is one instance of a service that a child process hosts.
type target struct {
	h         *host
	id        health.ID
	source    source
	address   string // HOST:PORT of the server
	name      string // name of the target in health requests
	mute      bool   // if true, the child process does not report the states of the target
	set       func(name string, s healthpb.HealthCheckResponse_ServingStatus)
	lease     *client.Registration // nil if the target is static
	ownServer *server.Server       // server of this library; nil if it is of another kind or serves several targets
	grpc      *grpc.Server
}

// setState changes the state of the target. It reports the new state to the parent process before
// it changes the health server. So no state can be published before it was reported as true.
func (t *target) setState(s State) {
	if !t.mute {
		t.h.out.writeTruth(t.id, s, t.source)
	}
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if s == serving {
		status = healthpb.HealthCheckResponse_SERVING
	}
	t.set(t.name, status)
}

// waitRegistered waits until the coordinator has acknowledged the registration of a leased
// target. For a static target it returns at once.
func (t *target) waitRegistered(ctx context.Context) error {
	if t.lease == nil {
		return nil
	}
	select {
	case <-t.lease.Registered():
		return nil
	case <-t.lease.Done():
		return fmt.Errorf("%s is not registered: %w", t.id, t.lease.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// propagation is the time for which a draining server waits before it stops, so that the
// status DRAINING can be published.
const propagation = 200 * time.Millisecond

// drain drains and deregisters the target, and stops its server.
func (t *target) drain(ctx context.Context) error {
	t.h.out.writeTruth(t.id, draining, t.source)
	err := t.ownServer.Drain(ctx)
	t.grpc.GracefulStop()
	return err
}

// deregister reports to the parent process that the target is Gone, and ends its registration. The
// method Drain of the server calls deregister.
func (t *target) deregister(ctx context.Context) error {
	t.h.out.writeTruth(t.id, Gone, t.source)
	return t.lease.Close(ctx)
}

// openGroup starts the targets of a group.
func (h *host) openGroup(g *Group) error {
	g.setDefaults()
	for first := 0; first < g.Targets; first += g.PerAddress {
		if _, err := h.openServer(g, first, min(first+g.PerAddress, g.Targets)); err != nil {
			return err
		}
	}
	return nil
}

// openServer starts the targets from first to end-1 on one server.
func (h *host) openServer(g *Group, first, end int) ([]*target, error) {
	var targets []*target
	for n := first; n < end; n++ {
		t := &target{h: h, id: g.id(n), source: g.source(), mute: g.Mute}
		t.name = t.id.Service
		if g.PerAddress > 1 {
			t.name += "." + t.id.Instance
		}
		targets = append(targets, t)
	}
	return targets, h.serveTargets(g, g.address(first), targets)
}

// serveTargets serves targets at one address, and registers them if the group is leased.
func (h *host) serveTargets(g *Group, address string, targets []*target) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if err := h.serveKind(g.Kind, l, targets); err != nil {
		_ = l.Close()
		return err
	}
	for _, t := range targets {
		t.address = l.Addr().String()
		t.setState(g.state())
		if g.Leased {
			if err := t.register(g.TTL); err != nil {
				return err
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.targets = append(h.targets, targets...)
	return nil
}

// serveKind starts a server of the given kind for targets.
func (h *host) serveKind(kind string, l net.Listener, targets []*target) error {
	switch kind {
	case kindOurs:
		return h.serveOwn(l, targets)
	case kindStock:
		return h.serveStock(l, targets)
	}
	if k := stubNamed(kind); k != nil {
		h.serveStub(k, l, targets)
		return nil
	}
	return fmt.Errorf("there is no kind %q of targets", kind)
}

// serveStock serves targets with the health server of grpc-go.
func (h *host) serveStock(l net.Listener, targets []*target) error {
	s, g := stock.NewServer(), grpc.NewServer()
	healthpb.RegisterHealthServer(g, s)
	h.serveGRPC(g, l)
	for _, t := range targets {
		t.set, t.grpc = s.SetServingStatus, g
	}
	return nil
}

// serveOwn serves targets with the server of this library.
func (h *host) serveOwn(l net.Listener, targets []*target) error {
	cfg := server.Config{Service: targets[0].name, Propagation: propagation}
	alone := len(targets) == 1
	if alone {
		cfg.OnDrain = []func(context.Context) error{targets[0].deregister}
	}
	s, err := server.New(cfg)
	if err != nil {
		return err
	}
	g := grpc.NewServer(s.ServerOptions()...)
	s.Register(g)
	h.wg.Go(func() { _ = s.Run(h.ctx) })
	h.serveGRPC(g, l)
	for _, t := range targets {
		t.set, t.grpc = s.SetServingStatus, g
		if alone {
			t.ownServer = s
		}
	}
	return nil
}

func (h *host) serveGRPC(g *grpc.Server, l net.Listener) {
	h.wg.Go(func() { _ = g.Serve(l) })
	h.onClose(g.Stop)
}

func (t *target) register(ttl time.Duration) error {
	c, err := t.h.clientWithRoom()
	if err != nil {
		return err
	}
	i := client.Instance{Service: t.id.Service, Instance: t.id.Instance, Address: t.address, TTL: ttl}
	if t.name != t.id.Service {
		i.HealthName = t.name
	}
	if t.ownServer != nil {
		i.Feed = t.ownServer.Feed()
	}
	t.lease = c.RegisterAsync(i)
	return nil
}
