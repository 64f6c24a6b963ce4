package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Whoever asks a second time does not want to wait: from then on a signal
	// does what it does by itself.
	context.AfterFunc(ctx, stop)
	return newApp().run(ctx, os.Args[1:])
}
