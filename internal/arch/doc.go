// Package arch tests the structure of the module: which packages a package may import, what
// each layer may use, how packages are documented, and how long functions and files are.
//
// The table in plan_test.go lists every package with its layer. A package that is missing in
// the table makes a test fail. So does a row for a package that does not exist.
//
// Every rule is a function that takes parsed files and returns faults. A test gives each rule
// a bad example, so that a rule that finds nothing makes the test fail. The tests parse the
// files themselves and do not call `go list`. Files with build tags are therefore included,
// and the test cache notices every edit.
//
// # Concurrency
//
// The package contains only tests.
package arch
