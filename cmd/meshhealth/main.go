package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/meshhealth/meshhealth/internal/signals"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	// The coordinator has a log of its own. The other commands print their results, and
	// log records of the libraries must not be mixed with them.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	go func() {
		<-signals.Stops
		// From now on a second signal has its default effect: it ends the process at once.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		stop()
	}()
	a := newApp()
	a.hangups = signals.Hangups
	return a.run(ctx, os.Args[1:])
}
