package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meshhealth/meshhealth/server"
)

// benchRuns compares the cost of periodic checks in the embedded server with the cost of
// plain goroutines.
func benchRuns(ctx context.Context, o *options, r *report) error {
	if err := benchExecuted(ctx, o, r); err != nil {
		return err
	}
	return benchMany(ctx, o, r)
}

// periodic is a number of trivial checks that run periodically. runs counts the runs of all checks,
// and stop ends the checks.
type periodic struct {
	runs atomic.Int64
	stop func()
}

// usage has three totals of this process: its CPU time, its allocations and its runs of checks.
type usage struct {
	cpu    time.Duration
	allocs uint64
	runs   int64
}

func (p *periodic) usage() usage {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // Getrusage cannot fail for the process itself
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{time.Duration(u.Utime.Nano() + u.Stime.Nano()), m.Mallocs, p.runs.Load()}
}

// costs waits for the duration d while the checks run. It returns the CPU time, the allocations and
// the runs of checks of the process in this time.
func (p *periodic) costs(ctx context.Context, d time.Duration) (usage, error) {
	before := p.usage()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return usage{}, ctx.Err()
	}
	after := p.usage()
	return usage{after.cpu - before.cpu, after.allocs - before.allocs, after.runs - before.runs}, nil
}

func (p *periodic) run(context.Context) error { p.runs.Add(1); return nil }

// startOurs starts n checks in an embedded server.
func (p *periodic) startOurs(n int, every time.Duration) error {
	s, err := server.New(server.Config{Service: "bench"})
	if err != nil {
		return err
	}
	checks := make([]server.Check, n)
	for i := range checks {
		checks[i] = server.Check{Name: name("check", i), Run: p.run, Every: every}
	}
	if err := s.Add(checks...); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p.stop = func() { stop(); <-done }
	return untilServing(ctx, s)
}

// startByHand starts n goroutines, each with a timer, as a program without a library would. Each
// run has a time-out, and only the last result is kept.
func (p *periodic) startByHand(n int, every time.Duration) error {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	p.stop = func() { stop(); wg.Wait() }
	results := make([]atomic.Pointer[error], n)
	for i := range n {
		wg.Go(func() {
			timer := time.NewTimer(rand.N(every))
			defer timer.Stop()
			for {
				select {
				case <-timer.C:
				case <-ctx.Done():
					return
				}
				limited, cancel := context.WithTimeout(ctx, every/2)
				err := p.run(limited)
				cancel()
				results[i].Store(&err)
				timer.Reset(every)
			}
		})
	}
	return nil
}

// benchExecuted compares the cost of one run of a check in our server with a run in a plain
// goroutine with a context.
func benchExecuted(ctx context.Context, o *options, r *report) error {
	var p periodic
	if err := p.startOurs(o.size(5000, 10), 200*time.Millisecond); err != nil {
		return err
	}
	u, err := p.costs(ctx, time.Duration(o.size(int(5*time.Second), int(time.Second))))
	p.stop()
	if err != nil {
		return err
	}
	bare := bareRuns(int(max(1, u.runs)))
	r.figure("an executed check / in a goroutine with a context, CPU", fmt.Sprintf("%.1f µs / %.1f µs", u.each().Seconds()*1e6, bare.each().Seconds()*1e6), "", true)
	r.figure("an executed check / in a goroutine with a context", fmt.Sprintf("%.1f allocs / %.1f", u.allocsEach(), bare.allocsEach()), "≤ 5", u.allocsEach() <= 5)
	return nil
}

func (u usage) allocsEach() float64 { return float64(u.allocs) / float64(max(1, u.runs)) }

func (u usage) each() time.Duration { return u.cpu / time.Duration(max(1, u.runs)) }

// bareRuns runs a trivial check n times, each in a new goroutine with a time-out. It returns the CPU
// time and the allocations of the process for these runs.
func bareRuns(n int) usage {
	var p periodic
	before := p.usage()
	for range n {
		done := make(chan struct{})
		go func() {
			defer close(done)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = p.run(ctx)
		}()
		<-done
	}
	after := p.usage()
	return usage{after.cpu - before.cpu, after.allocs - before.allocs, int64(n)}
}

// benchMany compares a very large number of checks of our server with the same number of goroutines
// that have a timer each.
func benchMany(ctx context.Context, o *options, r *report) error {
	n, every := o.size(100_000, 100), time.Duration(o.size(int(10*time.Second), int(time.Second)))
	var cpu, memory [2]float64
	for i, start := range []func(*periodic, int, time.Duration) error{(*periodic).startOurs, (*periodic).startByHand} {
		var p periodic
		before := weight()
		if err := start(&p, n, every); err != nil {
			return err
		}
		if _, err := p.costs(ctx, every+every/10); err != nil { // the result is ignored, because it includes the start of the checks
			return err
		}
		u, err := p.costs(ctx, every)
		memory[i] = float64(weight() - before)
		p.stop()
		if err != nil {
			return err
		}
		cpu[i] = u.cpu.Seconds() / every.Seconds()
	}
	what := fmt.Sprintf("%d checks every %v, ", n, every)
	r.figure(what+"CPU / goroutine and timer each", fmt.Sprintf("%.2f (%.1f %% of a core, %.1f %%)", cpu[0]/cpu[1], 100*cpu[0], 100*cpu[1]), "≤ 0.25", cpu[0] <= cpu[1]/4)
	r.figure(what+"memory / goroutine and timer each", fmt.Sprintf("%.2f (%.0f MiB, %.0f MiB)", memory[0]/memory[1], memory[0]/(1<<20), memory[1]/(1<<20)), "≤ 0.01", memory[0] <= memory[1]/100)
	return nil
}
