// Package transcript runs tests that are text files, called transcripts. A transcript has
// commands, one on each line, and the expected output of each command:
//
//	report a SERVING age=5s
//	----
//	a: STARTING -> SERVING
//
// The output begins after the line "----" and ends at an empty line. A command without this
// line must print nothing. Lines that begin with # are comments. With the flag -rewrite, a
// test writes the output that it has received into the file.
//
// # Concurrency
//
// A test runs its files one after the other.
package transcript
