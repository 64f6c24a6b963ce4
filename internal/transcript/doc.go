// Package transcript runs tests from text files, called transcripts. A transcript has commands
// and the output that each command must print. The package also calls a check with random
// inputs.
//
// # Concurrency
//
// A test runs its files one after the other.
package transcript
