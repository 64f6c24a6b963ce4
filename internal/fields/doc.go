// Package fields collects errors about the fields of a value. So all faults of the value are
// reported at once, each with the name of its field.
//
// # Concurrency
//
// Only one goroutine at a time may use an Errors value.
package fields
