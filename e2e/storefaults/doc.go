// Package storefaults makes the system calls of a store fail, one after the other, and
// checks what the store holds afterwards.
//
// The test binary starts itself as a child (child_test.go). The child executes a script of
// registrations, overrides and changes on a registry with a store in a file, and prints
// what was acknowledged. For every n, strace makes the n-th write, sync or growth of the
// file fail, or kills the child at that call. strace counts calls by thread, so one thread
// makes all calls.
//
// Power cuts are simulated (disk_test.go). strace records what the child writes, and the
// tests open each disk image that a power cut could leave.
//
// # Concurrency
//
// The package has only tests. Runs with different files run at the same time.
package storefaults
