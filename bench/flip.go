package main

import (
	"context"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/client"
)

// benchFlip: SetStatus in a service until a watcher of the coordinator has it,
// two hops; beside one bare Check, there and back, and a stock Watch, one hop.
// One of each in turn, so that all see the same machine.
func benchFlip(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	at, err := rig.coordinator()
	if err != nil {
		return err
	}
	srv, err := rig.service(at, "payments", "a")
	if err != nil {
		return err
	}
	mesh, err := rig.client(at)
	if err != nil {
		return err
	}
	ours := make(chan status, 16)
	rig.goes(func() error {
		for u, err := range mesh.Watch(rig.ctx, client.WatchOptions{Names: []string{"payments/a"}}) {
			if err != nil {
				return err
			}
			for _, e := range u.Entries {
				ours <- status(e.GetStatus())
			}
		}
		return nil
	})
	if err := rig.until(ours, 1); err != nil {
		return err
	}
	peer, peerAt, err := rig.peer()
	if err != nil {
		return err
	}
	conn, err := rig.dial(peerAt)
	if err != nil {
		return err
	}
	theirs := make(chan status, 16)
	if err := rig.watchStock(conn, "", theirs); err != nil {
		return err
	}
	if err := rig.until(theirs, 1); err != nil {
		return err
	}
	check := healthpb.NewHealthClient(conn)

	var mid, slow, direct []float64
	for range o.rounds {
		var flips, checks, watches times
		for i := range o.size(10_000, 100) {
			to, stockTo, want := side(i)
			began := time.Now()
			if err := srv.SetStatus(to, ""); err != nil {
				return err
			}
			if err := rig.until(ours, want); err != nil {
				return err
			}
			flips = append(flips, time.Since(began))
			began = time.Now()
			if _, err := check.Check(rig.ctx, &healthpb.HealthCheckRequest{}); err != nil {
				return err
			}
			checks = append(checks, time.Since(began))
			began = time.Now()
			peer.SetServingStatus("", stockTo)
			if err := rig.until(theirs, want); err != nil {
				return err
			}
			watches = append(watches, time.Since(began))
		}
		mid = append(mid, over(flips.quantile(.5), checks.quantile(.5)))
		slow = append(slow, over(flips.quantile(.99), checks.quantile(.99)))
		direct = append(direct, over(flips.quantile(.5), watches.quantile(.5)))
	}
	r.ratio("flip, two hops, p50 / bare Check p50", mid, 1.1)
	r.ratio("flip, two hops, p99 / bare Check p99", slow, 1.2)
	r.ratio("flip, two hops, p50 / stock Watch, one hop, p50", direct, 2.0)
	return nil
}
