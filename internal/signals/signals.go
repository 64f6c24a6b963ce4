package signals

import (
	"os"
	"os/signal"
	"syscall"
)

// Each channel has room for one signal. While a signal waits in a channel, further ones are dropped.
var (
	// Hangups receives SIGHUP.
	Hangups = make(chan os.Signal, 1)
	// Stops receives SIGINT and SIGTERM.
	Stops = make(chan os.Signal, 1)
)

func init() {
	signal.Notify(Hangups, syscall.SIGHUP)
	signal.Notify(Stops, os.Interrupt, syscall.SIGTERM)
}
