// Package machine computes the status of one check from the evidence of its runs.
//
// Evidence is a pass, a warning or a failure. A [Machine] counts evidence of the same kind in
// a row, and changes the status when a count reaches a threshold of the policy. The package
// reads no clock: times are parameters.
//
// # Concurrency
//
// A Machine is not safe for concurrent use. It has one owner.
package machine
