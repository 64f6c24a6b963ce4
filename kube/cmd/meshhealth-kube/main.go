// Command meshhealth-kube writes the health of a mesh to the objects of a Kubernetes cluster: the
// readiness gates of Pods, and the conditions of Istio's WorkloadEntries.
//
// # Concurrency
//
// The command ends after SIGINT or SIGTERM. A second signal ends it at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/meshhealth/meshhealth/internal/signals"
)

// The exit codes are those of meshhealth.
const (
	exitFault = 1 // it could not run
	exitUsage = 3 // a flag is wrong
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		<-signals.Stops
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		stop()
	}()
	s, err := parse(os.Args[1:], os.Stdout)
	if errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	if err := serve(ctx, s, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFault
	}
	return 0
}
