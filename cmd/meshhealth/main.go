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
	// Only the coordinator has a log. The other commands print results on the terminal, which
	// must not be mixed with log records of libraries.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	go func() {
		<-signals.Stops
		// A second signal has its default effect: it ends the process at once.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		stop()
	}()
	a := newApp()
	a.hangups = signals.Hangups
	return a.run(ctx, os.Args[1:])
}
