// Package logs writes log records in a separate goroutine. So a log that blocks, such as a full
// pipe, does not delay checks or publications.
//
// # Concurrency
//
// A Logger may be used concurrently. Its goroutine starts when records wait, and ends when no record
// waits. If the log blocks, the goroutine ends after the log has accepted the waiting records.
package logs
