// Package fields collects errors about the fields of a value. So a caller can report all faults of
// the value at once, each with the name of its field.
//
// # Concurrency
//
// Only one goroutine at a time may use an Errors value.
package fields
