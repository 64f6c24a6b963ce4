package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/server"
)

// library is a health library that a service can embed: ours or a peer. A nil function means
// that the library does not support the measurement.
type library struct {
	name string
	// once evaluates n trivial checks once, and returns the time that this took.
	once func(n int) (time.Duration, error)
	// running starts n periodic checks, and returns when the results of all checks are known.
	running func(n int) (*embedded, error)
}

// embedded is a health library with running checks.
type embedded struct {
	handler http.Handler
	stop    func()
	took    time.Duration // time from the start of the checks until the results of all checks were known
}

func libraries() []library {
	return []library{
		{"meshhealth", oursOnce, oursRunning},
		{"alexliesenfeld", alexOnce, alexRunning},
		{"hellofresh", hellofreshOnce, nil},
		{"go-sundheit", nil, sundheitRunning},
	}
}

// benchLibrary compares the checks of our server with the checks of other health libraries.
func benchLibrary(ctx context.Context, o *options, r *report) error {
	for _, bench := range []func(context.Context, *options, *report) error{benchOnce, benchFirstKnown, benchIdle, benchRead} {
		if err := bench(ctx, o, r); err != nil {
			return err
		}
	}
	return nil
}

// against measures all libraries in each round. For each round it returns our figure, divided
// by the smallest figure of the other libraries.
func (o *options) against(ctx context.Context, measure func(library) (float64, error)) ([]float64, error) {
	var ratios []float64
	for range o.rounds {
		mine, best := 0.0, math.Inf(1)
		for i, l := range libraries() {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			runtime.GC()
			figure, err := measure(l)
			switch {
			case err != nil:
				return nil, fmt.Errorf("%s: %w", l.name, err)
			case i == 0:
				mine = figure
			case figure > 0:
				best = min(best, figure)
			}
		}
		ratios = append(ratios, mine/best)
	}
	return ratios, nil
}

func benchOnce(ctx context.Context, o *options, r *report) error {
	n := o.size(1000, 10)
	ratios, err := o.against(ctx, func(l library) (float64, error) {
		if l.once == nil {
			return 0, nil
		}
		took, err := l.once(n)
		return float64(took), err
	})
	if err == nil {
		r.ratio(fmt.Sprintf("%d trivial checks evaluated once, time / best peer", n), ratios, 0.5)
	}
	return err
}

func benchFirstKnown(ctx context.Context, o *options, r *report) error {
	for _, n := range []int{o.size(1000, 10), o.size(5000, 20)} {
		ratios, err := o.against(ctx, func(l library) (float64, error) {
			if l.running == nil {
				return 0, nil
			}
			e, err := l.running(n)
			if err != nil {
				return 0, err
			}
			e.stop()
			return float64(e.took), nil
		})
		if err != nil {
			return err
		}
		r.ratio(fmt.Sprintf("%d checks known after the start, time / best peer", n), ratios, 0.5)
	}
	return nil
}

// benchIdle measures how many bytes and goroutines a periodic check needs while it does not
// run.
func benchIdle(_ context.Context, o *options, r *report) error {
	n := o.size(10_000, 100)
	for _, l := range libraries() {
		if l.running == nil {
			continue
		}
		before, goroutines := weight(), runtime.NumGoroutine()
		e, err := l.running(n)
		if err != nil {
			return err
		}
		bytes := float64(weight()-before) / float64(n)
		more := float64(runtime.NumGoroutine()-goroutines) / float64(n)
		goal, met := "", true
		if l.name == "meshhealth" {
			goal, met = "≤ 400 B, 0", bytes <= 400 && more < 0.01
		}
		r.figure(fmt.Sprintf("an idle check of %d, %s", n, l.name), fmt.Sprintf("%.0f B, %.2f goroutines", bytes, more), goal, met)
		e.stop()
	}
	return nil
}

// weight returns the number of bytes that heap and stacks of this process use, after a garbage
// collection.
func weight() int64 {
	heap, stacks := inUse()
	return heap + stacks
}

// inUse returns the bytes of live heap and of stacks after a garbage collection. It runs two
// collections, because a sync.Pool keeps its items during the first one.
func inUse() (heap, stacks int64) {
	runtime.GC()
	runtime.GC()
	m := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(m)
	return int64(m[0].Value.Uint64()), int64(m[1].Value.Uint64())
}

// benchRead measures the time that the HTTP handlers of the libraries need for one request,
// without a network.
func benchRead(_ context.Context, o *options, r *report) error {
	small, _, err := readTime(oursRunning, 10)
	if err != nil {
		return err
	}
	n := o.size(1000, 20)
	mine, allocs, err := readTime(oursRunning, n)
	if err != nil {
		return err
	}
	theirs, _, err := readTime(alexRunning, n)
	if err != nil {
		return err
	}
	r.figure(fmt.Sprintf("HTTP read of %d checks, alexliesenfeld / ours", n), fmt.Sprintf("%.0f (ours %.0f ns, %d allocs)", theirs/mine, mine, allocs),
		"≥ 100, ≤ 3 allocs", theirs/mine >= 100 && allocs <= 3)
	r.figure(fmt.Sprintf("HTTP read, %d checks / 10", n), fmt.Sprintf("%.2f", mine/small), "≤ 1.2", mine/small <= 1.2)
	return nil
}

// sink is an http.ResponseWriter that discards the body of a response.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// readTime returns the nanoseconds and the number of allocations that an HTTP handler with n
// checks needs for one request.
func readTime(running func(int) (*embedded, error), n int) (float64, int64, error) {
	e, err := running(n)
	if err != nil {
		return 0, 0, err
	}
	defer e.stop()
	req, w := httptest.NewRequest(http.MethodGet, "/readyz", nil), &sink{header: http.Header{}}
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			clear(w.header)
			e.handler.ServeHTTP(w, req)
		}
	})
	return float64(res.T.Nanoseconds()) / float64(res.N), res.AllocsPerOp(), nil
}

func trivial(context.Context) error { return nil }

// oursOnce returns the time from the start of our server until each of its n checks has run
// once. Our server has no other way to evaluate checks once.
func oursOnce(n int) (time.Duration, error) {
	e, err := oursRunning(n)
	if err != nil {
		return 0, err
	}
	e.stop()
	return e.took, nil
}

func oursRunning(n int) (*embedded, error) {
	s, err := server.New(server.Config{Service: "bench"})
	if err != nil {
		return nil, err
	}
	checks := make([]server.Check, n)
	for i := range checks {
		checks[i] = server.Check{Name: name("check", i), Run: trivial, Every: time.Hour}
	}
	if err := s.Add(checks...); err != nil {
		return nil, err
	}
	began := time.Now()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	e := &embedded{handler: s.Handler(), stop: func() { stop(); <-done }}
	err = untilServing(ctx, s)
	e.took = time.Since(began)
	return e, err
}
