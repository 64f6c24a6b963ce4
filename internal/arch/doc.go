// Package arch holds the floor plan as tests: which package may import which,
// what each floor may do, how packages are documented, and how long functions
// and files may be.
//
// The table in plan_test.go is the truth. A new package needs one row there; a
// row without a package, and a package without a row, fail.
//
// Every rule is a function over parsed files that returns its faults, and each
// has a test which shows it a bad example: a rule that cannot fail proves
// nothing. The files are read here rather than through `go list`, so that
// build tags hide nothing and the test cache notices every edit.
//
// # Concurrency
//
// None: there is nothing here but tests.
package arch
