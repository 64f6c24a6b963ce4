// Package late measures how late a goroutine of this process runs, compared with its plan.
// Callers subtract this lateness from the time for which they have waited for another process.
// The package reads no clock: all times are parameters.
//
// # Concurrency
//
// [By] may be called concurrently. The methods of [Spans] must not be called
// concurrently.
package late
