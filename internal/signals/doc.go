// Package signals receives the signals of a command from the start of the process on. It is
// initialised before larger packages, so that a signal in the first milliseconds, before main
// begins, is not lost.
//
// # Concurrency
//
// The channels may be used concurrently.
package signals
