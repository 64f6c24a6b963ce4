// Command meshhealth runs a mesh coordinator, and shows and changes what a coordinator knows.
//
//	meshhealth coordinator              run a coordinator, on loopback
//	meshhealth status [NAME...]         print statuses and their reasons
//	meshhealth watch [NAME...]          print each change
//	meshhealth doctor [NAME]            check a set-up step by step
//	meshhealth history [NAME]           print stored transitions, newest first
//	meshhealth register, deregister     register instances that have no client library
//	meshhealth demo                     run a coordinator and services whose backends fail
//
// Results go to stdout, messages to stderr. The exit code of the command status stands for the
// worst status of the given names, or for the status of the mesh: 0 SERVING, 1 DEGRADED (or
// STARTING, DRAINING, MAINTENANCE), 2 NOT_SERVING, 3 UNKNOWN. Each command that fails ends with 3.
//
// This package handles flags, signals, exit codes and printing. Each command has a file with its
// name. Package coordinator/config reads the configuration, and the coordinator computes every
// status.
//
// # Concurrency
//
// Commands run in the main goroutine. A command waits for each goroutine that it has
// started, except for readers of stdin, of keys and of pipes.
package main
