package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// benchMass flips 1,000 instances at once while clients watch all instances. It compares the CPU
// time of the coordinator for 100 clients with its CPU time for one client.
func benchMass(ctx context.Context, o *options, r *report) error {
	var ratios []float64
	var messages [2]float64
	for range o.rounds {
		var cpu [2]time.Duration
		for k, clients := range []int{1, 100} {
			used, sent, err := massFlip(ctx, o, clients)
			if err != nil {
				return err
			}
			cpu[k], messages[k] = used, sent
		}
		ratios = append(ratios, over(cpu[1], cpu[0]))
	}
	r.ratio("1,000 instances flip, CPU with 100 watch-everything clients / with 1", ratios, 3)
	r.figure("… messages to each client per flip of all", fmt.Sprintf("%.1f with 1, %.1f with 100", messages[0], messages[1]), "", true)
	return nil
}

// massFlip returns the CPU time of the coordinator for one flip of all instances, and the
// number of messages to each client.
func massFlip(ctx context.Context, o *options, clients int) (time.Duration, float64, error) {
	rig := newRig(ctx)
	defer rig.close()
	p, err := rig.process("coordinator")
	if err != nil {
		return 0, 0, err
	}
	n, flips := o.size(1000, 20), o.size(10, 2)
	servers, err := rig.fleet(p.at, n, 20)
	if err != nil {
		return 0, 0, err
	}
	var watching []*allWatcher
	for range clients {
		w, err := rig.watchAll(p.at)
		if err != nil {
			return 0, 0, err
		}
		watching = append(watching, w)
	}
	if err := rig.waitForAll(watching, 1, n); err != nil {
		return 0, 0, err
	}
	var before int64
	for _, w := range watching {
		before += w.messages.Load()
	}
	began, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	for i := range flips {
		_, to, want := side(i)
		for _, s := range servers {
			s.set(to)
		}
		if err := rig.waitForAll(watching, want, n); err != nil {
			return 0, 0, err
		}
	}
	ended, err := p.cpu()
	var after int64
	for _, w := range watching {
		after += w.messages.Load()
	}
	return (ended - began) / time.Duration(flips), float64(after-before) / float64(flips*clients), err
}

// sharedStock is one stock server that serves many instances. names has the names of these instances in
// health requests.
type sharedStock struct {
	*stock.Server
	names []string
}

func (m *sharedStock) set(s healthpb.HealthCheckResponse_ServingStatus) {
	for _, n := range m.names {
		m.SetServingStatus(n, s)
	}
}

// fleet registers n static instances at a coordinator. It starts stock servers that each serve at
// most perServer of the instances.
func (r *rig) fleet(coordinatorAddr string, n, perServer int) ([]*sharedStock, error) {
	conn, err := r.dial(coordinatorAddr)
	if err != nil {
		return nil, err
	}
	registry := pb.NewRegistryServiceClient(conn)
	var all []*sharedStock
	for first := 0; first < n; first += perServer {
		s, address, err := r.peer()
		if err != nil {
			return nil, err
		}
		m, req := &sharedStock{Server: s}, &pb.RegisterRequest{}
		for i := first; i < min(first+perServer, n); i++ {
			m.names = append(m.names, name("h", i))
			req.Registrations = append(req.Registrations, &pb.Registration{
				Service: name("service", i%50), Instance: name("i", i), Address: address, HealthName: name("h", i), Static: true,
			})
		}
		m.set(healthpb.HealthCheckResponse_SERVING)
		if _, err := registry.Register(r.ctx, req); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// allWatcher is a client that watches all instances, and keeps the last status of each instance.
type allWatcher struct {
	messages atomic.Int64
	mu       sync.Mutex
	now      map[string]status
	changed  chan struct{}
}

func (r *rig) watchAll(at string) (*allWatcher, error) {
	mesh, err := r.client(at)
	if err != nil {
		return nil, err
	}
	w := &allWatcher{now: map[string]status{}, changed: make(chan struct{}, 1)}
	r.start(func() error {
		for u, err := range mesh.Watch(r.ctx, client.WatchOptions{}) {
			if err != nil {
				return err
			}
			w.take(u.Entries)
		}
		return nil
	})
	return w, nil
}

func (w *allWatcher) take(entries []*client.Entry) {
	w.messages.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		if e.ID.Instance != "" {
			w.now[e.ID.Instance] = status(e.Status.Wire())
		}
	}
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *allWatcher) count(want status) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.now {
		if s == want {
			n++
		}
	}
	return n
}

// waitForAll waits until every client in watching has received the status want for at least n
// instances.
func (r *rig) waitForAll(watching []*allWatcher, want status, n int) error {
	for _, w := range watching {
		for w.count(want) < n {
			select {
			case <-w.changed:
			case err := <-r.fails:
				return err
			case <-r.ctx.Done():
				return r.ctx.Err()
			}
		}
	}
	return nil
}
