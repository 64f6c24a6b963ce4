package main

import (
	"context"
	"fmt"
)

// benchXDSFlip measures one flip in 10,000 services of 10 endpoints. 50 delta clients have named all
// services. The peer is a LinearCache of go-control-plane with its server.
func benchXDSFlip(ctx context.Context, o *options, r *report) error {
	mesh := newXDSMesh(o.size(10_000, 100), 10)
	clients := o.size(50, 3)
	t, err := o.xdsRounds(ctx, mesh, clients, [2]int{o.size(40, 2), o.size(4, 2)})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("flip in %d services, last of %d xDS clients", mesh.services, clients)
	r.ratio(what+" / LinearCache", t.last, 0.01)
	r.ratio("… CPU / LinearCache", t.cpu, 0.01)
	t.report(r)
	return nil
}

// benchXDSBig measures one flip in a service of 10,000 endpoints.
func benchXDSBig(ctx context.Context, o *options, r *report) error {
	mesh := newXDSMesh(1, o.size(10_000, 100))
	for _, clients := range []int{1, 20} {
		n := o.size(20, 2)
		t, err := o.xdsRounds(ctx, mesh, clients, [2]int{n, n})
		if err != nil {
			return err
		}
		what := fmt.Sprintf("flip in a service of %d endpoints, last of %d xDS clients", len(mesh.addresses), clients)
		r.ratio(what+" / LinearCache", t.last, 0.5)
		r.ratio("… CPU / LinearCache", t.cpu, 1)
		t.report(r)
	}
	return nil
}

// xdsRatios has ratios for each round, ours to the peer's, and the times of the last round.
type xdsRatios struct {
	last, cpu []float64
	times     [2]xdsTimes
}

// xdsRounds makes n[0] flips of our server and n[1] flips of the peer, in each round.
func (o *options) xdsRounds(ctx context.Context, mesh *xdsMesh, clients int, n [2]int) (t xdsRatios, err error) {
	rig := newRig(ctx)
	defer rig.close()
	both, err := rig.bothXDS(mesh, clients)
	if err != nil {
		return t, err
	}
	for _, p := range both {
		if _, err := p.connect(clients); err != nil {
			return t, err
		}
	}
	for range o.rounds {
		for i, p := range both {
			if t.times[i], err = p.flips(n[i]); err != nil {
				return t, err
			}
		}
		t.last = append(t.last, over(t.times[0].last.quantile(.5), t.times[1].last.quantile(.5)))
		t.cpu = append(t.cpu, over(t.times[0].cpu, t.times[1].cpu))
	}
	return t, nil
}

// report adds rows with the times of our server and of the peer.
func (t *xdsRatios) report(r *report) {
	ours, theirs := &t.times[0], &t.times[1]
	r.figure("… last client, p50", inMicros(.5, ours.last, theirs.last), "", true)
	r.figure("… the call with the change, p50", inMicros(.5, ours.call, theirs.call), "", true)
	r.figure("… CPU of the server for each flip", inMicros(.5, times{ours.cpu}, times{theirs.cpu}), "", true)
}

// benchXDSMemory measures the memory of the server for each delta client that has named 10,000
// services. It is the difference between 1 client and 21 clients, so that what all clients share
// does not count.
func benchXDSMemory(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	mesh, more := newXDSMesh(o.size(10_000, 100), 1), o.size(20, 3)
	var ratios []float64
	var heap, stacks [2]float64  // bytes for each client
	for range min(o.rounds, 3) { // the live heap hardly varies
		both, err := rig.bothXDS(mesh, more+1)
		if err != nil {
			return err
		}
		for i, p := range both {
			one, err := p.connect(1)
			if err != nil {
				return err
			}
			all, err := p.connect(more + 1)
			if err != nil {
				return err
			}
			heap[i] = float64(int64(all[0]-one[0])) / float64(more)
			stacks[i] = float64(int64(all[1]-one[1])) / float64(more)
		}
		ratios = append(ratios, heap[0]/heap[1])
	}
	r.ratio(fmt.Sprintf("live heap of each xDS client that has named %d services / LinearCache", mesh.services), ratios, 0.5)
	r.figure("… live heap", fmt.Sprintf("%.0f, %.0f KiB", heap[0]/1024, heap[1]/1024), "", true)
	r.figure("… stacks", fmt.Sprintf("%.0f, %.0f KiB", stacks[0]/1024, stacks[1]/1024), "", true)
	return nil
}
