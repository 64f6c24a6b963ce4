// Package logtest has a log for tests.
//
// # Concurrency
//
// A Record may be read while it is written.
package logtest
