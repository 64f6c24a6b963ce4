// Package arch tests the structure of the module. It checks which package may
// import which, what each layer may use, how packages are documented, and how long
// functions and files are.
//
// The table in plan_test.go lists every package with its layer. A package without a
// row and a row without a package both fail.
//
// Every rule is a function that takes parsed files and returns faults. A test shows
// each rule a bad example, so that a rule that finds nothing is noticed. The rules
// parse the files themselves instead of calling `go list`: build tags then hide no
// file, and the test cache notices every edit.
//
// # Concurrency
//
// The package contains only tests.
package arch
