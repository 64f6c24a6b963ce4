// Package e2e tests the binary and the libraries as their users have them: real
// processes, real sockets, grpcurl, stock grpc-go clients, and every command of README.md
// and docs/*.md. `make e2e` runs these tests with the build tag e2e. The tests without the
// tag check the text of the pages: links, code blocks and tables.
//
// # Concurrency
//
// The package contains only tests. Most run one after another, because the commands of
// the pages use the default ports. Tests that wait for most of their time run beside each
// other.
package e2e
