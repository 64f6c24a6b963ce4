package main

import (
	"context"
	"math/rand/v2"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/client"
)

// longestPause is the longest random pause before a measurement, in the second part of benchFlip.
// During a pause the cores go to sleep, so the measured time includes the time to wake them.
const longestPause = 1500 * time.Microsecond

// benchFlip measures the time from SetStatus in a service until a watcher of the coordinator
// receives the status. The status goes over two hops: from the service to the coordinator, and
// from there to the watcher. benchFlip compares this time with one Check, and with a stock Watch
// over one hop. The three measurements take turns, so that the load of the machine is the same.
func benchFlip(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	var f flipRig
	var err error
	if f.ours, err = rig.twoHops(); err != nil {
		return err
	}
	if f.theirs, f.check, err = rig.oneHop(); err != nil {
		return err
	}
	mid, slow, direct, last, err := rig.flipRounds(&f, o.rounds, o.size(10_000, 100), 0)
	if err != nil {
		return err
	}
	r.ratio("flip, two hops, p50 / bare Check p50", mid, 1.1)
	r.ratio("flip, two hops, p99 / bare Check p99", slow, 1.2)
	r.ratio("flip, two hops, p50 / stock Watch, one hop, p50", direct, 2.0)
	last.report(r)
	if mid, _, _, last, err = rig.flipRounds(&f, o.rounds, o.size(1500, 100), longestPause); err != nil {
		return err
	}
	r.ratio("flip, two hops, p50 / bare Check p50, after pauses of 0 to 1.5 ms", mid, 0.95)
	last.report(r)
	return nil
}

// report adds two rows to the table, with the medians and the 99th percentiles of the measured times.
func (t *turns) report(r *report) {
	r.figure("… flip, Check, stock Watch, p50", inMicros(.5, t.flips, t.checks, t.watches), "", true)
	r.figure("… flip, Check, stock Watch, p99", inMicros(.99, t.flips, t.checks, t.watches), "", true)
}

// flipRounds calls takeTurns for each round, and returns three ratios for each round. mid is the
// median time of a flip, divided by the median time of a Check. slow is the same ratio of the 99th
// percentiles. direct is the median time of a flip, divided by the median time of a stock Watch.
// last has the times of the last round.
func (r *rig) flipRounds(f *flipRig, rounds, n int, longest time.Duration) (mid, slow, direct []float64, last turns, err error) {
	for range rounds {
		if last, err = r.takeTurns(f, n, longest); err != nil {
			return nil, nil, nil, last, err
		}
		mid = append(mid, over(last.flips.quantile(.5), last.checks.quantile(.5)))
		slow = append(slow, over(last.flips.quantile(.99), last.checks.quantile(.99)))
		direct = append(direct, over(last.flips.quantile(.5), last.watches.quantile(.5)))
	}
	return mid, slow, direct, last, nil
}

// flipRig has the servers that benchFlip compares, and a client for calls of Check to the stock
// server.
type flipRig struct {
	ours, theirs *flipped
	check        healthpb.HealthClient
}

// turns are the measured times of one round.
type turns struct{ flips, checks, watches times }

// takeTurns measures a flip through the coordinator, a Check and a flip of the stock server, n times
// in this order. Before each measurement it pauses for a random time shorter than `longest`.
func (r *rig) takeTurns(f *flipRig, n int, longest time.Duration) (t turns, err error) {
	check := func(int) (time.Duration, error) {
		began := time.Now()
		_, err := f.check.Check(r.ctx, &healthpb.HealthCheckRequest{})
		return time.Since(began), err
	}
	for i := range n {
		for _, m := range []struct {
			to      *times
			measure func(int) (time.Duration, error)
		}{
			{&t.flips, func(i int) (time.Duration, error) { return r.timeFlip(f.ours, i) }},
			{&t.checks, check},
			{&t.watches, func(i int) (time.Duration, error) { return r.timeFlip(f.theirs, i) }},
		} {
			if longest > 0 {
				if err := r.pause(rand.N(longest)); err != nil {
					return t, err
				}
			}
			took, err := m.measure(i)
			if err != nil {
				return t, err
			}
			*m.to = append(*m.to, took)
		}
	}
	return t, nil
}

// flipped is a server with a watcher. flip changes the status of the server, and seen receives each
// status that the watcher has received.
type flipped struct {
	flip func(i int) error
	seen chan seen
}

// timeFlip makes flip i of the server f. It returns the time from the flip until the watcher has
// received the new status.
func (r *rig) timeFlip(f *flipped, i int) (time.Duration, error) {
	_, _, want := side(i)
	began := time.Now()
	if err := f.flip(i); err != nil {
		return 0, err
	}
	at, err := r.waitForStatus(f.seen, want)
	return at.Sub(began), err
}

// twoHops starts a coordinator, and the rest of twoHopsAt.
func (r *rig) twoHops() (*flipped, error) {
	at, err := r.coordinator()
	if err != nil {
		return nil, err
	}
	return r.twoHopsAt(at)
}

// twoHopsAt starts a service that the coordinator at an address follows, and a client that watches the
// coordinator.
func (r *rig) twoHopsAt(at string) (*flipped, error) {
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
	r.start(func() error {
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
	_, err = r.waitForStatus(f.seen, 1)
	return f, err
}

// oneHop starts a stock server and a client that watches this server. It also returns a client that
// calls Check of this server.
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
	_, err = r.waitForStatus(f.seen, 1)
	return f, healthpb.NewHealthClient(conn), err
}
