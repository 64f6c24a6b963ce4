// Package transcript runs tests that are files of commands and what they print. It also runs
// checks of random inputs.
//
// # Concurrency
//
// A test runs its files one after the other.
package transcript
