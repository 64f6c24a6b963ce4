package main

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
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// rig has everything that one benchmark has started, such as servers and connections. The method
// close ends everything.
type rig struct {
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	undo  []func()
	fails chan error
}

func newRig(ctx context.Context) *rig {
	r := &rig{fails: make(chan error, 1)}
	r.ctx, r.stop = context.WithCancel(ctx)
	return r
}

func (r *rig) close() {
	r.stop()
	for i := len(r.undo) - 1; i >= 0; i-- {
		r.undo[i]()
	}
	r.wg.Wait()
}

// start runs f in a goroutine. The method close waits for the goroutine. If f returns an error
// before close is called, the error goes to the channel fails.
func (r *rig) start(f func() error) {
	r.wg.Go(func() {
		if err := f(); err != nil && r.ctx.Err() == nil {
			select {
			case r.fails <- err:
			default:
			}
		}
	})
}

// serve runs a gRPC server on a free port until close is called. It returns the address of the
// server.
func (r *rig) serve(register func(*grpc.Server), opts ...grpc.ServerOption) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	g := grpc.NewServer(opts...)
	register(g)
	r.start(func() error { return g.Serve(l) })
	r.undo = append(r.undo, g.Stop)
	return l.Addr().String(), nil
}

// peer runs the health server of grpc-go, and returns the server and its address.
func (r *rig) peer() (*stock.Server, string, error) {
	s := stock.NewServer()
	at, err := r.serve(func(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) })
	return s, at, err
}

// undamped is a policy without flap damping. Flap damping would suppress the status changes
// that are measured.
var undamped = health.MeshPolicy{FlapHalfLife: -1}

// coordinator runs a coordinator in this process, and returns its address.
func (r *rig) coordinator() (address string, err error) { return r.coordinatorWith(nil) }

// coordinatorWith runs a coordinator with an access policy; nil means none.
func (r *rig) coordinatorWith(policy *coordinator.AccessPolicy) (address string, err error) {
	c, err := coordinator.New(r.ctx, coordinator.Config{
		Listen: "127.0.0.1:0", HTTP: coordinator.Off, TargetBudget: coordinator.Off, Policy: undamped, Access: policy, Socket: coordinator.Off,
	})
	if err != nil {
		return "", err
	}
	r.start(func() error { return c.Run(r.ctx) })
	return c.Addr().String(), nil
}

// service runs a server of this library that is SERVING, and registers the server at a coordinator.
func (r *rig) service(coordinatorAddr, service, instance string) (*server.Server, error) {
	s, _, err := r.serviceAt(coordinatorAddr, service, instance)
	return s, err
}

// serviceAt does the same as the method service. It also returns the address of the server.
func (r *rig) serviceAt(coordinatorAddr, service, instance string) (s *server.Server, address string, err error) {
	if s, err = server.New(server.Config{Service: service}); err != nil {
		return nil, "", err
	}
	if err := s.SetStatus(health.Serving, ""); err != nil {
		return nil, "", err
	}
	r.start(func() error { return s.Run(r.ctx) })
	if address, err = r.serve(func(g *grpc.Server) { s.Register(g) }); err != nil {
		return nil, "", err
	}
	mesh, err := r.client(coordinatorAddr)
	if err != nil {
		return nil, "", err
	}
	_, err = mesh.Register(r.ctx, client.Instance{Service: service, Instance: instance, Address: address})
	return s, address, err
}

func (r *rig) client(at string) (*client.Client, error) {
	c, err := client.New(client.Config{Coordinator: at})
	if err == nil {
		r.undo = append(r.undo, func() { _ = c.Close() })
	}
	return c, err
}

func (r *rig) dial(at string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		r.undo = append(r.undo, func() { _ = conn.Close() })
	}
	return conn, err
}

// status is the number of a status in protobuf messages. SERVING and NOT_SERVING have the same
// numbers in grpc.health.v1 and in meshhealth.v1.
type status = int32

// seen is a status that a Watch has received, with the time of its arrival.
type seen struct {
	status
	at time.Time
}

// watchStock starts a Watch of grpc.health.v1 for a name. Each status that the Watch receives
// goes to the channel to.
func (r *rig) watchStock(conn *grpc.ClientConn, name string, to chan<- seen) error {
	stream, err := healthpb.NewHealthClient(conn).Watch(r.ctx, &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		return err
	}
	r.start(func() error {
		for {
			m, err := stream.Recv()
			if err != nil {
				return err
			}
			to <- seen{status(m.GetStatus()), time.Now()}
		}
	})
	return nil
}

// waitForStatus reads from the channel until it reads the status want. It returns the time at
// which a Watch received this status.
func (r *rig) waitForStatus(from <-chan seen, want status) (time.Time, error) {
	for {
		select {
		case s := <-from:
			if s.status == want {
				return s.at, nil
			}
		case err := <-r.fails:
			return time.Time{}, err
		case <-r.ctx.Done():
			return time.Time{}, errors.New("interrupted")
		}
	}
}

// side returns the status after the flip with the number i, as three Go types. The status is
// NOT_SERVING if i is even, and otherwise SERVING.
func side(i int) (ours health.Status, theirs healthpb.HealthCheckResponse_ServingStatus, number status) {
	if i%2 == 0 {
		return health.NotServing, healthpb.HealthCheckResponse_NOT_SERVING, 2
	}
	return health.Serving, healthpb.HealthCheckResponse_SERVING, 1
}

func name(service string, i int) string { return fmt.Sprintf("%s-%d", service, i) }
