// Package storefaults makes the system calls of a store fail, one after the other. It then
// checks that the file of the store still has everything that was acknowledged.
//
// The test binary starts itself as a child process (child_test.go). The child executes a
// script of registrations, overrides and changes on a registry with a store in a file. It
// prints each operation that was acknowledged. For every n, the program strace makes the
// n-th write, sync or growth of the file fail, or kills the child at that call. strace
// counts the calls of each thread, so one thread of the child makes all calls.
//
// The audit log has a script of its own (audit_test.go), and fails in the same ways.
//
// Power cuts are simulated (disk_test.go). strace records the writes of the child, and the
// tests open each content of the file that a power cut could leave.
//
// Whole coordinators are tested too (coordinator_test.go). They are killed at random moments. On a file system that
// keeps only what was synced, they are killed and their power is cut at chosen calls (syncedcut_test.go). The
// program compat/syncedfs serves this file system.
//
// Damaged files (damage_test.go) are opened by processes that may neither crash nor hang (opener_test.go).
//
// # Concurrency
//
// The package has only tests. Runs with different files run at the same time.
package storefaults
