// Package late measures how much later than planned a goroutine of this process has run. Callers
// subtract this lateness from the time for which they have waited for another process. The package
// reads no clock: all times are parameters.
//
// # Concurrency
//
// [By] may be called concurrently. The methods of [Spans] must not be called
// concurrently.
package late
