// Package logs writes log records without blocking the caller. So a log that blocks does not delay
// checks or publications.
//
// # Concurrency
//
// A Logger may be used concurrently. Its goroutine runs while records wait, and ends when none waits.
// If the log blocks, the goroutine ends after the log has accepted the waiting records.
package logs
