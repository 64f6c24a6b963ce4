// Package delay computes how long to wait before an action is repeated. The delays are partly
// random, so that many processes do not repeat an action at the same moment. The random number
// is a parameter.
//
// # Concurrency
//
// All functions are pure.
package delay
