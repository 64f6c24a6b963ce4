package main

import (
	"context"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/client"
)

// benchFlip measures the time from SetStatus in a service until a watcher of the
// coordinator receives the status, over two hops. It compares this time with one Check,
// and with a stock Watch over one hop. The three take turns, so that the load of the
// machine is the same for all.
func benchFlip(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	ours, err := rig.twoHops()
	if err != nil {
		return err
	}
	theirs, check, err := rig.oneHop()
	if err != nil {
		return err
	}
	var mid, slow, direct []float64
	var flips, checks, watches times
	for range o.rounds {
		flips, checks, watches = flips[:0], checks[:0], watches[:0]
		for i := range o.size(10_000, 100) {
			took, err := rig.in(ours, i)
			if err != nil {
				return err
			}
			flips = append(flips, took)
			began := time.Now()
			if _, err := check.Check(rig.ctx, &healthpb.HealthCheckRequest{}); err != nil {
				return err
			}
			checks = append(checks, time.Since(began))
			if took, err = rig.in(theirs, i); err != nil {
				return err
			}
			watches = append(watches, took)
		}
		mid = append(mid, over(flips.quantile(.5), checks.quantile(.5)))
		slow = append(slow, over(flips.quantile(.99), checks.quantile(.99)))
		direct = append(direct, over(flips.quantile(.5), watches.quantile(.5)))
	}
	r.ratio("flip, two hops, p50 / bare Check p50", mid, 1.1)
	r.ratio("flip, two hops, p99 / bare Check p99", slow, 1.2)
	r.ratio("flip, two hops, p50 / stock Watch, one hop, p50", direct, 2.0)
	r.figure("… flip, Check, stock Watch, p50", inMicros(.5, flips, checks, watches), "", true)
	r.figure("… flip, Check, stock Watch, p99", inMicros(.99, flips, checks, watches), "", true)
	return nil
}

// flipped is a server whose status can be flipped. seen receives each status that a watcher
// of it receives.
type flipped struct {
	flip func(i int) error
	seen chan seen
}

// in returns the time from the i-th flip of f until the watcher has received it.
func (r *rig) in(f *flipped, i int) (time.Duration, error) {
	_, _, want := side(i)
	began := time.Now()
	if err := f.flip(i); err != nil {
		return 0, err
	}
	at, err := r.until(f.seen, want)
	return at.Sub(began), err
}

// twoHops starts a service, a coordinator that follows the service, and a client that watches
// the coordinator.
func (r *rig) twoHops() (*flipped, error) {
	at, err := r.coordinator()
	if err != nil {
		return nil, err
	}
	srv, err := r.service(at, "payments", "a")
	if err != nil {
		return nil, err
	}
	mesh, err := r.client(at)
	if err != nil {
		return nil, err
	}
	f := &flipped{
		flip: func(i int) error { to, _, _ := side(i); return srv.SetStatus(to, "") },
		seen: make(chan seen, 16),
	}
	r.goes(func() error {
		for u, err := range mesh.Watch(r.ctx, client.WatchOptions{Names: []string{"payments/a"}}) {
			if err != nil {
				return err
			}
			for _, e := range u.Entries {
				f.seen <- seen{status(e.Status.Wire()), time.Now()}
			}
		}
		return nil
	})
	_, err = r.until(f.seen, 1)
	return f, err
}

// oneHop starts a stock server and a client that watches it. It also returns a client for
// Check.
func (r *rig) oneHop() (*flipped, healthpb.HealthClient, error) {
	peer, at, err := r.peer()
	if err != nil {
		return nil, nil, err
	}
	conn, err := r.dial(at)
	if err != nil {
		return nil, nil, err
	}
	f := &flipped{
		flip: func(i int) error { _, to, _ := side(i); peer.SetServingStatus("", to); return nil },
		seen: make(chan seen, 16),
	}
	if err := r.watchStock(conn, "", f.seen); err != nil {
		return nil, nil, err
	}
	_, err = r.until(f.seen, 1)
	return f, healthpb.NewHealthClient(conn), err
}
