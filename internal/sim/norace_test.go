//go:build !race

package sim

const (
	scripts  = 60 // number of random scripts
	deployed = 40 // number of services that TestRollingDeploy replaces
)
