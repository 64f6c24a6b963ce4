// Package logtest has a log that tests can read and block.
//
// # Concurrency
//
// A Record may be read while it is written.
package logtest
