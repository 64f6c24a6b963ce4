//go:build race

package watch

// raced: thousands of timers that are due at once in one bubble share a context
// of Go 1.26's race detector, which does not survive two at the same time.
const raced = true
