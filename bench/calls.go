package main

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/server"
)

// benchCalls compares the CPU time of a standard Check in our server and in grpc-go's health
// server. It also measures a read of the status inside the process.
func benchCalls(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	peer, err := rig.callee("stock")
	if err != nil {
		return err
	}
	n := o.size(5000, 100)
	for _, c := range []struct {
		kind string
		goal float64
	}{{"server", 1.05}, {"server with options", 0.8}} {
		ours, err := rig.callee(c.kind)
		if err != nil {
			return err
		}
		var ratios []float64
		for range o.rounds {
			mine, err := ours.check(ctx, n)
			if err != nil {
				return err
			}
			theirs, err := peer.check(ctx, n)
			if err != nil {
				return err
			}
			ratios = append(ratios, over(mine, theirs))
		}
		r.ratio("gRPC Check, CPU of our "+c.kind+" / stock server", ratios, c.goal)
	}
	return benchStatus(ctx, r)
}

// callee is a server process, and a connection to it.
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
	_, err = c.check(r.ctx, 1000) // the first calls are slower, and are not measured
	return c, err
}

// check calls Check n times, one after the other. It returns the CPU time of the callee for
// each call.
func (c *callee) check(ctx context.Context, n int) (time.Duration, error) {
	before, err := c.process.cpu()
	if err != nil {
		return 0, err
	}
	for range n {
		r, err := c.client.Check(ctx, &healthpb.HealthCheckRequest{})
		if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			return 0, fmt.Errorf("calling Check: %v, %w", r, err)
		}
	}
	after, err := c.process.cpu()
	return (after - before) / time.Duration(n), err
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
