// Package metrics turns the coordinator's feed into Prometheus metrics.
//
// # Concurrency
//
// As each exported name says.
package metrics
