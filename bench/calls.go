package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/server"
)

// benchCalls compares the CPU time of a standard Check in our server and in grpc-go's health
// server. It makes the calls one at a time, and 32 at a time on one connection. It also
// measures a read of the status inside the process.
func benchCalls(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	peer, err := rig.callee("stock")
	if err != nil {
		return err
	}
	for _, c := range []struct {
		kind  string
		goals map[int]float64 // largest ratio that meets the goal, by the number of concurrent calls
	}{
		{"server", map[int]float64{1: 1.05, 32: 1.05}},
		{"server with options", map[int]float64{1: 0.95, 32: 0.8}},
	} {
		ours, err := rig.callee(c.kind)
		if err != nil {
			return err
		}
		for _, inFlight := range []int{1, 32} {
			ratios, err := checkRatios(ctx, o, ours, peer, inFlight)
			if err != nil {
				return err
			}
			r.ratio(fmt.Sprintf("gRPC Check, %d in flight, CPU of our %s / stock server", inFlight, c.kind), ratios, c.goals[inFlight])
		}
	}
	return benchStatus(ctx, r)
}

// partsOfRound is the number of parts of a round. In each part, the benchmark first measures our
// server and then its peer. So a disturbance of the machine affects both servers.
const partsOfRound = 10

// checkRatios returns one ratio for each round: the CPU time of a Check in our server, divided
// by the CPU time of a Check in the peer.
func checkRatios(ctx context.Context, o *options, ours, peer *callee, inFlight int) (ratios []float64, err error) {
	n := o.size(500, 32)
	if inFlight > 1 {
		n *= 4 // a call needs less CPU time if calls are concurrent, so more calls must be measured
	}
	for range o.rounds {
		var mine, theirs time.Duration
		for range partsOfRound {
			a, err := ours.check(ctx, n, inFlight)
			if err != nil {
				return nil, err
			}
			b, err := peer.check(ctx, n, inFlight)
			if err != nil {
				return nil, err
			}
			mine, theirs = mine+a, theirs+b
		}
		ratios = append(ratios, over(mine, theirs))
	}
	return ratios, nil
}

// callee is a server in a child process, with a client that is connected to this server.
type callee struct {
	process *process
	client  healthpb.HealthClient
}

func (r *rig) callee(kind string) (*callee, error) {
	p, err := r.process(kind)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(p.at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { _ = conn.Close() })
	c := &callee{process: p, client: healthpb.NewHealthClient(conn)}
	_, err = c.check(r.ctx, 1000, 1) // the first calls are slower, and are not measured
	return c, err
}

// check calls Check about n times, from inFlight goroutines that share one connection. It returns
// the average CPU time that the server process has used for a call.
func (c *callee) check(ctx context.Context, n, inFlight int) (time.Duration, error) {
	before, err := c.process.cpu()
	if err != nil {
		return 0, err
	}
	each := max(1, n/inFlight)
	errs := make([]error, inFlight)
	var callers sync.WaitGroup
	for i := range inFlight {
		callers.Go(func() { errs[i] = c.repeatCheck(ctx, each) })
	}
	callers.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	after, err := c.process.cpu()
	return (after - before) / time.Duration(each*inFlight), err
}

// repeatCheck calls Check n times, one after the other.
func (c *callee) repeatCheck(ctx context.Context, n int) error {
	for range n {
		r, err := c.client.Check(ctx, &healthpb.HealthCheckRequest{})
		if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			return fmt.Errorf("calling Check: %v, %w", r, err)
		}
	}
	return nil
}

func serveStock(ctx context.Context) error {
	return serveUntil(ctx, grpc.NewServer(), func(g *grpc.Server) { healthpb.RegisterHealthServer(g, stock.NewServer()) })
}

func serveOurs(ctx context.Context, options bool) error {
	s, err := server.New(server.Config{Service: "bench"})
	if err != nil {
		return err
	}
	s.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	var opts []grpc.ServerOption
	if options {
		opts = s.ServerOptions()
	}
	return serveUntil(ctx, grpc.NewServer(opts...), func(g *grpc.Server) { s.Register(g) })
}

func serveUntil(ctx context.Context, g *grpc.Server, register func(*grpc.Server)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	register(g)
	fmt.Println(l.Addr())
	context.AfterFunc(ctx, g.Stop)
	return g.Serve(l)
}

func benchStatus(ctx context.Context, r *report) error {
	s, err := server.New(server.Config{Service: "bench"})
	if err != nil {
		return err
	}
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_ = s.Status()
		}
	})
	r.figure("status read in the process", fmt.Sprintf("%.1f ns, %d allocs", float64(res.T.Nanoseconds())/float64(res.N), res.AllocsPerOp()), "0 allocs", res.AllocsPerOp() == 0)
	return ctx.Err()
}
