//go:build race

package follow

// raced is true under the race detector of Go 1.26. Timers that are due at once in one
// bubble share a context of the detector. It fails if two of them run at the same time.
const raced = true
