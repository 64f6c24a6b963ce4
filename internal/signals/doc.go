// Package signals receives the signals of a command from the initialisation of its
// packages on. Before the first statement of main, 10 ms may pass; a signal in that time
// is not lost.
//
// # Concurrency
//
// The channels may be used concurrently.
package signals
