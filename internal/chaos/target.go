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

// target is one instance of a service.
type target struct {
	h       *host
	id      health.ID
	way     way
	address string
	name    string // to ask for
	set     func(name string, s healthpb.HealthCheckResponse_ServingStatus)
	lease   *client.Registration // nil: static
	own     *server.Server       // that of this target alone; nil: none
	grpc    *grpc.Server
}

// become writes down the truth, and makes it one. The time is that before, so
// that nothing seems to be published before it is true.
func (t *target) become(s State) {
	t.h.out.truth(t.id, s, t.way)
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if s == serving {
		status = healthpb.HealthCheckResponse_SERVING
	}
	t.set(t.name, status)
}

// registered waits for the lease, if there is to be one.
func (t *target) registered(ctx context.Context) error {
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

// propagation is how long a server that drains lets others learn of it.
const propagation = 200 * time.Millisecond

// leave drains, deregisters and stops.
func (t *target) leave(ctx context.Context) error {
	t.h.out.truth(t.id, draining, t.way)
	err := t.own.Drain(ctx)
	t.grpc.GracefulStop()
	return err
}

// deregister is called by Drain.
func (t *target) deregister(ctx context.Context) error {
	t.h.out.truth(t.id, Gone, t.way)
	return t.lease.Close(ctx)
}

// open makes the targets of a group. All are SERVING.
func (h *host) open(g *Group) error {
	g.setDefaults()
	for first := 0; first < g.Targets; first += g.PerAddress {
		if _, err := h.share(g, first, min(first+g.PerAddress, g.Targets)); err != nil {
			return err
		}
	}
	return nil
}

// share makes the targets from first until end, on one server.
func (h *host) share(g *Group, first, end int) ([]*target, error) {
	var targets []*target
	for n := first; n < end; n++ {
		t := &target{h: h, id: g.id(n), way: g.way()}
		t.name = t.id.Service
		if g.PerAddress > 1 {
			t.name += "." + t.id.Instance
		}
		targets = append(targets, t)
	}
	return targets, h.add(g, targets)
}

// add serves targets at one address, and registers them if they are leased.
func (h *host) add(g *Group, targets []*target) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serve := h.stock
	if g.Kind == kindOurs {
		serve = h.ours
	}
	if err := serve(l, targets); err != nil {
		_ = l.Close()
		return err
	}
	for _, t := range targets {
		t.address = l.Addr().String()
		t.become(serving)
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

// stock serves as every grpc-go server does.
func (h *host) stock(l net.Listener, targets []*target) error {
	s, g := stock.NewServer(), grpc.NewServer()
	healthpb.RegisterHealthServer(g, s)
	h.serve(g, l)
	for _, t := range targets {
		t.set, t.grpc = s.SetServingStatus, g
	}
	return nil
}

// ours serves as a service that embeds this library does.
func (h *host) ours(l net.Listener, targets []*target) error {
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
	h.serve(g, l)
	for _, t := range targets {
		t.set, t.grpc = s.SetServingStatus, g
		if alone {
			t.own = s
		}
	}
	return nil
}

func (h *host) serve(g *grpc.Server, l net.Listener) {
	h.wg.Go(func() { _ = g.Serve(l) })
	h.later(g.Stop)
}

func (t *target) register(ttl time.Duration) error {
	c, err := t.h.client()
	if err != nil {
		return err
	}
	i := client.Instance{Service: t.id.Service, Instance: t.id.Instance, Address: t.address, TTL: ttl}
	if t.name != t.id.Service {
		i.HealthName = t.name
	}
	if t.own != nil {
		i.Feed = t.own.Feed()
	}
	t.lease = c.RegisterAsync(i)
	return nil
}
