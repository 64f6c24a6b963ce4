package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"
	grpcxds "google.golang.org/grpc/xds"

	"github.com/meshhealth/meshhealth/health"
)

const (
	// pickers is the number of goroutines of a client that make one call after the other.
	pickers = 4
	// elsewhere is the number of calls in a row to other endpoints, after which the flipped endpoint
	// counts as left out. Before, the client picks both endpoints in turn.
	elsewhere = 50
)

// benchXDSPick measures the time from the change of an endpoint until the last pick of this endpoint by
// an xDS client of grpc-go. The change is given to our xDS server, or to the peer, or it is a
// SetStatus in a service that a coordinator follows.
func benchXDSPick(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	mesh := &xdsMesh{services: 1}
	for range 2 {
		_, at, err := rig.peer()
		if err != nil {
			return err
		}
		mesh.addresses = append(mesh.addresses, netip.MustParseAddrPort(at))
	}
	both, err := rig.bothXDS(mesh, 0)
	if err != nil {
		return err
	}
	var all []*picking
	for _, p := range both {
		c, err := rig.picking(p.address, name("service", 0), mesh.addresses[0], p.flipForPicks)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	whole, err := rig.wholeWay()
	if err != nil {
		return err
	}
	all = append(all, whole)
	var ratios []float64
	var took []times
	for range o.rounds {
		took = make([]times, len(all))
		for range o.size(100, 4) {
			for i, c := range all {
				one, err := c.turn()
				if err != nil {
					return err
				}
				took[i] = append(took[i], one)
			}
		}
		ratios = append(ratios, over(took[0].quantile(.5), took[1].quantile(.5)))
	}
	r.ratio("flip until its last pick by an xDS client of grpc-go, p50 / LinearCache", ratios, 1.2)
	r.figure("… p50; from SetStatus through a coordinator", inMicros(.5, took...), "", true)
	r.figure("… p99; from SetStatus through a coordinator", inMicros(.99, took...), "", true)
	return nil
}

func (p *xdsProcess) flipForPicks(healthy bool) (time.Time, error) {
	var f XDSFlip
	err := p.control.Call("XDSControl.Flip", healthy, &f)
	return time.Unix(0, f.Began), err
}

// wholeWay starts a coordinator in a child process, two services in this process, and a client.
func (r *rig) wholeWay() (*picking, error) {
	p, err := r.process("coordinator")
	if err != nil {
		return nil, err
	}
	first, at, err := r.serviceAt(p.at, "payments", "a")
	if err != nil {
		return nil, err
	}
	if _, _, err := r.serviceAt(p.at, "payments", "b"); err != nil {
		return nil, err
	}
	return r.picking(p.at, "payments", netip.MustParseAddrPort(at), func(healthy bool) (time.Time, error) {
		to := health.NotServing
		if healthy {
			to = health.Serving
		}
		began := time.Now()
		return began, first.SetStatus(to, "")
	})
}

// picking is an xDS client that calls a service with two endpoints.
type picking struct {
	calls   healthpb.HealthClient
	ctx     context.Context
	flipped string // address of the endpoint whose health changes
	// flip changes the health, and returns when the change was given away.
	flip func(healthy bool) (began time.Time, err error)

	mu    sync.Mutex
	last  time.Time // last pick of the flipped endpoint
	since int       // picks of the other endpoint after it
}

// picking returns a client that has called both endpoints.
func (r *rig) picking(server, service string, flipped netip.AddrPort, flip func(bool) (time.Time, error)) (*picking, error) {
	bootstrap := fmt.Sprintf(`{"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}], "node": {"id": "bench"}}`, server)
	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting([]byte(bootstrap))
	if err != nil {
		return nil, err
	}
	c := &picking{ctx: r.ctx, flipped: flipped.String(), flip: flip}
	conn, err := grpc.NewClient("xds:///"+service, grpc.WithResolvers(resolver),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(c))
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { _ = conn.Close() })
	c.calls = healthpb.NewHealthClient(conn)
	return c, nil
}

// HandleRPC notes where a call goes, when it begins on a connection.
func (c *picking) HandleRPC(_ context.Context, s stats.RPCStats) {
	h, ok := s.(*stats.OutHeader)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.RemoteAddr.String() == c.flipped {
		c.last, c.since = time.Now(), 0
	} else {
		c.since++
	}
}

// TagRPC implements stats.Handler, as do TagConn and HandleConn.
func (c *picking) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn does nothing.
func (c *picking) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does nothing.
func (c *picking) HandleConn(context.Context, stats.ConnStats) {}

func (c *picking) picks() (last time.Time, since int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.since
}

// callUntil makes calls until the function returns true. Every call must succeed.
func (c *picking) callUntil(done func() bool) error {
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range pickers {
		wg.Go(func() {
			for !done() && failed.Load() == nil {
				if _, err := c.calls.Check(c.ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// turn makes the flipped endpoint unhealthy and then healthy again, while calls go on. It returns the
// time from the first change until the last pick of the endpoint.
func (c *picking) turn() (time.Duration, error) {
	begin := time.Now()
	both := func() bool { last, since := c.picks(); return last.After(begin) && since > 0 }
	if err := c.callUntil(both); err != nil {
		return 0, err
	}
	began, err := c.flipWhileCalling(false, func() bool { _, since := c.picks(); return since >= elsewhere })
	if err != nil {
		return 0, err
	}
	last, _ := c.picks()
	_, err = c.flipWhileCalling(true, func() bool { now, _ := c.picks(); return now.After(last) })
	return max(0, last.Sub(began)), err
}

// flipWhileCalling changes the health after a short time of calls. It makes calls until the change was
// given away and the function returns true.
func (c *picking) flipWhileCalling(healthy bool, done func() bool) (began time.Time, err error) {
	var flipped atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer flipped.Store(true)
		time.Sleep(rand.N(2 * time.Millisecond))
		began, err = c.flip(healthy)
	})
	failed := c.callUntil(func() bool { return flipped.Load() && done() })
	wg.Wait()
	if err == nil {
		err = failed
	}
	return began, err
}
