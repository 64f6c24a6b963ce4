package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// registering has what a benchmark of registrations compares. registry is a client of a coordinator
// that stores registrations in a file. bare is a bbolt database on the same file system.
type registering struct {
	*rig
	registry pb.RegistryServiceClient
	bare     *bareBolt
}

// registering starts the coordinator and opens the bare bbolt database, both in a new folder.
// The coordinator cannot dial the instances, so that only registrations are measured.
func (r *rig) registering() (*registering, error) {
	dir, err := os.MkdirTemp("", "meshhealth-bench-")
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { r.wg.Wait(); _ = os.RemoveAll(dir) })
	c, err := coordinator.New(r.ctx, coordinator.Config{
		Listen: "127.0.0.1:0", HTTP: coordinator.Off, DataDir: dir,
		Dial: coordinator.Dial{Context: func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
	})
	if err != nil {
		return nil, err
	}
	r.start(func() error { return c.Run(r.ctx) })
	conn, err := r.dial(c.Addr().String())
	if err != nil {
		return nil, err
	}
	bare, err := openBare(filepath.Join(dir, "bare.db"))
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { _ = bare.Close() })
	return &registering{r, pb.NewRegistryServiceClient(conn), bare}, nil
}

func registrationOf(i int) *pb.Registration {
	return &pb.Registration{
		Service: name("service", i%50), Instance: name("i", i), Address: "127.0.0.1:9", Static: true,
		Zone: "zone-a", Version: "1.2.3", Labels: map[string]string{"team": "billing"},
	}
}

// register registers the instances from first to end-1 in one call. It returns the time that
// the call took.
func (g *registering) register(first, end int) (time.Duration, error) {
	req := &pb.RegisterRequest{}
	for i := first; i < end; i++ {
		req.Registrations = append(req.Registrations, registrationOf(i))
	}
	began := time.Now()
	_, err := g.registry.Register(g.ctx, req)
	return time.Since(began), err
}

// registerAll registers n instances in calls with perCall instances each. It returns the time that
// all calls took.
func (g *registering) registerAll(n, perCall int) (took time.Duration, err error) {
	for i := 0; i < n && err == nil; i += perCall {
		var one time.Duration
		one, err = g.register(i, min(n, i+perCall))
		took += one
	}
	return took, err
}

// benchBatches measures the time of registrations with 500 instances in each call. Each
// measurement uses a new coordinator.
func benchBatches(ctx context.Context, o *options, r *report) error {
	for _, n := range []int{o.size(1000, 50), o.size(2000, 50), o.size(5000, 50), o.size(10_000, 100)} {
		var all times
		for range o.rounds {
			took, err := batches(ctx, n)
			if err != nil {
				return err
			}
			all = append(all, took)
		}
		mid, goal := all.quantile(0.5), ""
		if n == 10_000 {
			goal = "< 2 s"
		}
		r.figure(fmt.Sprintf("register %d instances in batches of 500, durable", n), fmt.Sprintf("%v, %.1f µs each (%v–%v)",
			mid.Round(time.Millisecond), mid.Seconds()*1e6/float64(n), all[0].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond)),
			goal, mid < 2*time.Second)
	}
	return nil
}

func batches(ctx context.Context, n int) (time.Duration, error) {
	rig := newRig(ctx)
	defer rig.close()
	g, err := rig.registering()
	if err != nil {
		return 0, err
	}
	return g.registerAll(n, 500)
}

// benchOneByOne compares registrations, one after the other, with commits of a bare bbolt
// database: first with gRPC, and then without gRPC.
func benchOneByOne(ctx context.Context, o *options, r *report) error {
	if err := benchOneByOneCall(ctx, o, r); err != nil {
		return err
	}
	return benchInProcess(ctx, o, r)
}

// benchOneByOneCall compares registrations by gRPC with the same number of commits of a bare
// bbolt database. The two take turns. Figures for each part of the run show whether later
// registrations are slower.
func benchOneByOneCall(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	g, err := rig.registering()
	if err != nil {
		return err
	}
	var ratios []float64
	parts := []int{o.size(1000, 40), o.size(2000, 60), o.size(5000, 80), o.size(10_000, 100)}
	turn, first := o.size(500, 20), 0
	for _, until := range parts {
		var ours, theirs times
		for ; first < until; first += turn {
			mine, bare, err := g.takeTurn(first, min(until, first+turn))
			if err != nil {
				return err
			}
			ours, theirs, ratios = append(ours, mine), append(theirs, bare), append(ratios, over(mine, bare))
		}
		r.figure(fmt.Sprintf("register one by one, the last up to %d / a bare commit", until),
			fmt.Sprintf("%.0f, %.0f µs each", perRegistration(ours, turn), perRegistration(theirs, turn)), "", true)
	}
	r.ratio(fmt.Sprintf("register %d one by one / as many bare bbolt commits", first), ratios, 1.5)
	return nil
}

// perRegistration returns the microseconds for one registration. t has the times of groups of
// registrations, and each group has size registrations. The result is the median of t, divided by
// size.
func perRegistration(t times, size int) float64 {
	return t.quantile(0.5).Seconds() * 1e6 / float64(size)
}

// takeTurn registers the instances from first to end-1 one by one, and returns the time as ours.
// It then makes the same number of commits of the bare bbolt database, and returns the time as
// bare.
func (g *registering) takeTurn(first, end int) (ours, bare time.Duration, err error) {
	for i := first; i < end; i++ {
		took, err := g.register(i, i+1)
		if err != nil {
			return 0, 0, err
		}
		ours += took
	}
	bare, err = g.bare.commits(first, end)
	return ours, bare, err
}

// benchBurst compares 1,000 concurrent registrations, each in a call of its own, with 1,000
// commits of a bare bbolt database.
func benchBurst(ctx context.Context, o *options, r *report) error {
	var ratios []float64
	n := o.size(1000, 20)
	for range o.rounds {
		ours, bare, err := burst(ctx, n)
		if err != nil {
			return err
		}
		ratios = append(ratios, over(ours, bare))
	}
	r.ratio(fmt.Sprintf("register %d at once, a call each / as many bare commits", n), ratios, 0.5)
	return nil
}

func burst(ctx context.Context, n int) (ours, bare time.Duration, err error) {
	rig := newRig(ctx)
	defer rig.close()
	g, err := rig.registering()
	if err != nil {
		return 0, 0, err
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		wg.Go(func() { _, errs[i] = g.register(i, i+1) })
	}
	wg.Wait()
	ours = time.Since(began)
	for _, err := range errs {
		if err != nil {
			return 0, 0, err
		}
	}
	bare, err = g.bare.commits(0, n)
	return ours, bare, err
}
