// Package storefaults lets the store's system calls fail, one after the other,
// and looks at what is left.
//
// The test binary runs itself as a child (child_test.go) that works off a
// script of registrations, overrides and flips on a registry with a store in a
// file, and says what was acknowledged. strace lets the n-th write, sync or
// growth of that store fail, or kills the child there, for every n. strace
// counts calls per thread, so all of them are made by one.
//
// Power cuts are played (disk_test.go): from what strace says was written, each
// disk is made that could be left, and opened.
//
// # Concurrency
//
// Tests only. Runs that do not touch each other's files go side by side.
package storefaults
