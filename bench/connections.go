package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator"
)

// benchConnections measures the memory that a coordinator needs for each instance if every
// instance has its own connection. For comparison it measures a client of grpc-go with the same
// number of connections.
func benchConnections(ctx context.Context, o *options, r *report) error {
	n := o.size(4000, 20)
	if err := benchFollowed(ctx, r, n); err != nil {
		return err
	}
	return benchPolledHeap(ctx, r, n)
}

// benchFollowed compares the resident memory of two processes. One is a coordinator that follows n
// stock servers. The other is a client that has one stock Watch on each of n connections.
func benchFollowed(ctx context.Context, r *report, n int) error {
	var each [2]float64
	for i, weigh := range []func(context.Context, int) (int, error){weighFollowed, weighBareWatches} {
		idle, err := weigh(ctx, 0)
		if err != nil {
			return err
		}
		full, err := weigh(ctx, n)
		if err != nil {
			return err
		}
		each[i] = float64(full-idle) / float64(n) / 1024
	}
	what := fmt.Sprintf("each of %d followed instances (one a connection, stock Watch), RSS / bare gRPC client", n)
	r.figure(what, fmt.Sprintf("%.2f (%.1f KiB, %.1f KiB)", each[0]/each[1], each[0], each[1]), "", true)
	return nil
}

// weighFollowed returns the resident memory of a coordinator that follows n instances, each on
// a connection of its own.
func weighFollowed(ctx context.Context, n int) (int, error) {
	rig := newRig(ctx)
	defer rig.close()
	p, err := rig.process("coordinator")
	if err != nil {
		return 0, err
	}
	if n > 0 {
		t, err := rig.process("stock everywhere")
		if err != nil {
			return 0, err
		}
		if err := rig.registerTargets(p.at, t.at, n); err != nil {
			return 0, err
		}
		w, err := rig.watchAll(p.at)
		if err != nil {
			return 0, err
		}
		if err := rig.waitForAll([]*allWatcher{w}, 1, n); err != nil {
			return 0, err
		}
	}
	return rig.settledRSS(p)
}

// weighBareWatches returns the resident memory of a process that only has n connections with a
// stock Watch each.
func weighBareWatches(ctx context.Context, n int) (int, error) {
	rig := newRig(ctx)
	defer rig.close()
	t, err := rig.process("stock everywhere")
	if err != nil {
		return 0, err
	}
	p, err := rig.process("bare watcher", t.at, strconv.Itoa(n))
	if err != nil {
		return 0, err
	}
	return rig.settledRSS(p)
}

// settledRSS waits for 5 s (the constant settled), so that the process p has no more work. It then
// returns the resident memory of p in bytes.
func (r *rig) settledRSS(p *process) (int, error) {
	if err := r.pause(settled); err != nil {
		return 0, err
	}
	return p.rss()
}

// watchBare runs in a child process. The arguments of the process are the address of a server and
// the number of connections. watchBare opens a stock Watch on each connection.
func watchBare(ctx context.Context) error {
	at, number := os.Args[1], os.Args[2]
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	rig := newRig(ctx)
	defer rig.close()
	err = rig.dialEach(at, n, func(c *grpc.ClientConn) error {
		to := make(chan seen, 1)
		if err := rig.watchStock(c, targetName, to); err != nil {
			return err
		}
		_, err := rig.waitForStatus(to, 1)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return nil
}

// dialEach makes n connections to a server that listens on every loopback address, each to another
// address. It calls use with each connection. serverAddr has the port of the server.
func (r *rig) dialEach(serverAddr string, n int, use func(*grpc.ClientConn) error) error {
	_, port, err := net.SplitHostPort(serverAddr)
	if err != nil {
		return err
	}
	for i := range n {
		conn, err := r.dial(targetAddress(i, port))
		if err != nil {
			return err
		}
		if err := use(conn); err != nil {
			return err
		}
	}
	return nil
}

// benchPolledHeap compares two live heaps. One is the heap of a coordinator that polls n targets.
// The other is the heap of a client that has made one Check on each of n connections.
func benchPolledHeap(ctx context.Context, r *report, n int) error {
	ours, stacks, err := heapEach(ctx, n, (*rig).pollEach)
	if err != nil {
		return err
	}
	bare, bareStacks, err := heapEach(ctx, n, (*rig).checkEach)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("each of %d polled targets (one a connection), live heap / bare gRPC client", n)
	r.figure(what, fmt.Sprintf("%.2f (%.1f KB, %.1f KB)", ours/bare, ours, bare), "≤ 36 KB", ours <= 36)
	r.figure("… stacks", fmt.Sprintf("%.1f KB, %.1f KB", stacks, bareStacks), "", true)
	return nil
}

// heapEach calls open, which makes n connections in this process. It returns how many KB of live
// heap and of stacks each connection needs. Before it measures, it waits for 5 s (the constant
// settled).
func heapEach(ctx context.Context, n int, open func(r *rig, at string, n int) error) (heap, stacks float64, err error) {
	rig := newRig(ctx)
	defer rig.close()
	t, err := rig.process("polled")
	if err != nil {
		return 0, 0, err
	}
	heapBefore, stacksBefore := inUse()
	if err := open(rig, t.at, n); err != nil {
		return 0, 0, err
	}
	if err := rig.pause(settled); err != nil { // after this pause, the first polls of all targets have ended
		return 0, 0, err
	}
	heapAfter, stacksAfter := inUse()
	each := func(after, before int64) float64 { return float64(after-before) / float64(n) / 1000 }
	return each(heapAfter, heapBefore), each(stacksAfter, stacksBefore), nil
}

// pollEach runs a coordinator in this process, and waits until the coordinator has polled n targets.
func (r *rig) pollEach(at string, n int) error {
	c, err := coordinator.New(r.ctx, coordinator.Config{Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", MetricInstances: -1})
	if err != nil {
		return err
	}
	r.start(func() error { return c.Run(r.ctx) })
	if err := r.registerTargets(c.Addr().String(), at, n); err != nil {
		return err
	}
	return r.untilPolled(c.HTTPAddr().String(), n)
}

// checkEach makes n connections to n targets, and calls Check once on each connection.
func (r *rig) checkEach(at string, n int) error {
	return r.dialEach(at, n, func(c *grpc.ClientConn) error {
		ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
		defer cancel()
		_, err := healthpb.NewHealthClient(c).Check(ctx, &healthpb.HealthCheckRequest{Service: targetName})
		return err
	})
}
