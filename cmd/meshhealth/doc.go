// Command meshhealth runs a mesh coordinator, and asks one.
//
//	meshhealth coordinator              run a coordinator, on loopback
//	meshhealth status [NAME...]         print statuses and their reasons
//	meshhealth watch [NAME...]          print each change
//	meshhealth history [NAME]           print stored transitions, newest first
//	meshhealth register, deregister     register instances that have no client library
//	meshhealth demo                     run a mesh of real services that really fail
//
// Results go to stdout, messages to stderr. The exit code of status says the status of the
// mesh or of the names: 0 SERVING, 1 DEGRADED (or STARTING, DRAINING, MAINTENANCE), 2
// NOT_SERVING, 3 UNKNOWN. Every command that fails ends with 3.
//
// The package has flags, signals, exit codes and printing. Each command has a file of its
// name. Package coordinator/config reads the configuration, and the coordinator decides
// every status.
//
// # Concurrency
//
// Commands run in the main goroutine. A command waits for each goroutine that it has
// started, except for readers of stdin and of pipes.
package main
