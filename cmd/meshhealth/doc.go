// Command meshhealth runs a mesh coordinator, and asks one.
//
//	meshhealth coordinator              run one, on loopback
//	meshhealth status [NAME...]         what is well and what is not, and why
//	meshhealth watch [NAME...]          the same, as it changes
//	meshhealth history [NAME]           what has changed, newest first
//	meshhealth register, deregister     instances that cannot do it themselves
//	meshhealth demo                     a mesh of real services that really fail
//
// Data goes to stdout, talk to stderr. The exit code of status is the health of
// what was asked for: 0 SERVING, 1 DEGRADED (or starting, draining, in
// maintenance), 2 NOT_SERVING, 3 UNKNOWN. Every command ends with 3 when it
// could not do what it was asked to.
//
// Here are flags, the configuration file (config*.go, yaml*.go), certificates
// (creds.go), signals, exit codes and printing. Nothing is judged here.
//
// # Concurrency
//
// One goroutine; what it starts joins before it ends. Only the reading of
// certificates (creds.go) is called from elsewhere, and is safe for that.
package main
