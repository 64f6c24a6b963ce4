// Package e2e tests the program meshhealth and the libraries as users run them. The tests
// use real processes, real sockets, grpcurl and stock grpc-go clients. They run every command
// of README.md and docs/*.md. `make e2e` runs these tests with the build tag e2e. Without the
// tag, the tests only check the text of the pages: links, code blocks and tables.
//
// # Concurrency
//
// The package contains only tests. Most tests run one after another, because the commands in
// the documentation use the default ports. Tests that spend most of their time waiting run
// concurrently.
package e2e
