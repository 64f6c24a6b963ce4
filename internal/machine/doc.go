// Package machine computes the status of one check from the evidence of its runs.
//
// # Concurrency
//
// A Machine is not safe for concurrent use. It has one owner.
package machine
