//go:build race

package sim

// The race detector makes a script take ten times as long, and a script runs on one
// goroutine. The tests without the race detector therefore play the full numbers.
const (
	scripts  = 8  // number of random scripts
	deployed = 10 // number of services that TestRollingDeploy replaces
)
