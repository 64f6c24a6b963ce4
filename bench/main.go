package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// options has the values of the flags.
type options struct {
	rounds int  // number of rounds of each comparison
	quick  bool // true if benchmarks must only show that they run; their figures mean nothing
}

// size returns the size of a measurement, such as a number of calls. The size is n. But if the flag
// -quick is set, the size is the argument `quick`.
func (o *options) size(n, quick int) int {
	if o.quick {
		return quick
	}
	return n
}

// benches has all benchmarks, in the order in which they run.
var benches = []struct {
	name string
	run  func(ctx context.Context, o *options, r *report) error
}{
	{"flip", benchFlip},
	{"watchers", benchWatchers},
	{"pagewatchers", benchPageWatchers},
	{"policy", benchPolicy},
	{"mass", benchMass},
	{"apply", benchApply},
	{"memory", benchMemory},
	{"connections", benchConnections},
	{"polled", benchPolled},
	{"library", benchLibrary},
	{"calls", benchCalls},
	{"status", benchStatusCommand},
	{"attacker", benchAttacker},
	{"runs", benchRuns},
	{"batches", benchBatches},
	{"onebyone", benchOneByOne},
	{"burst", benchBurst},
	{"history", benchHistory},
	{"xdsflip", benchXDSFlip},
	{"xdsbig", benchXDSBig},
	{"xdsmemory", benchXDSMemory},
	{"xdspick", benchXDSPick},
}

func main() {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the peers write no logs, so our servers must not write logs either
	if at := os.Getenv(childEnv); at != "" {
		exit(child(at))
	}
	o := &options{}
	only := flag.String("run", "", "run the benchmarks whose name matches this `REGEXP`")
	flag.IntVar(&o.rounds, "rounds", 7, "rounds of each comparison")
	flag.BoolVar(&o.quick, "quick", false, "run each benchmark with few repetitions, only to see that it works")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil || o.rounds < 1 {
		exit(fmt.Errorf("-run, -rounds: %q, %d; allowed: a regular expression, 1 or more", *only, o.rounds))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("%s %s/%s, %d CPUs, %d rounds\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.rounds)
	r := newReport()
	for _, b := range benches {
		if !match.MatchString(b.name) {
			continue
		}
		began := time.Now()
		if err := b.run(ctx, o, r); err != nil {
			exit(fmt.Errorf("%s: %w", b.name, err))
		}
		fmt.Fprintf(os.Stderr, "%s took %.0f s\n", b.name, time.Since(began).Seconds())
	}
	exit(r.print(os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
