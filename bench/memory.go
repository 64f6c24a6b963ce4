package main

import (
	"context"
	"fmt"
	"time"
)

// benchMemory measures the resident memory of an idle coordinator, and the additional memory
// for each instance that it follows.
func benchMemory(ctx context.Context, o *options, r *report) error {
	idle, err := weigh(ctx, 0)
	if err != nil {
		return err
	}
	r.figure("idle coordinator, RSS", fmt.Sprintf("%.1f MiB", float64(idle)/(1<<20)), "< 30 MiB", idle < 30<<20)
	for _, n := range []int{o.size(1000, 10), o.size(10_000, 20)} {
		full, err := weigh(ctx, n)
		if err != nil {
			return err
		}
		r.figure(fmt.Sprintf("each of %d followed instances (100 a process, stock Watch), RSS", n), fmt.Sprintf("%.1f KiB", float64(full-idle)/float64(n)/1024), "", true)
	}
	return nil
}

// settled is the duration for which a benchmark waits, without giving work to a process, before it
// measures the memory of the process.
const settled = 5 * time.Second

func weigh(ctx context.Context, n int) (int, error) {
	rig := newRig(ctx)
	defer rig.close()
	p, err := rig.process("coordinator")
	if err != nil {
		return 0, err
	}
	if n > 0 {
		if _, err := rig.fleet(p.at, n, 100); err != nil {
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
