// Package fields collects what is wrong with the fields of a value, so that all
// faults are reported at once and each names its field.
//
// # Concurrency
//
// Only one goroutine at a time may use an Errors value.
package fields
