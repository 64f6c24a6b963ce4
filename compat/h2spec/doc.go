// Package h2spec runs the tests of h2spec, which check what a server of HTTP/2 does with frames that
// are right and wrong. They run against both ports of a coordinator and, at the same time, against
// servers that have no code of this project: one of grpc-go and one of net/http.
//
// h2spec is stricter than most servers, and grpc-go fails about a fifth of its tests. So the question
// is not whether the coordinator passes, but whether it fails a test that the other server passes.
//
// `make compat` builds h2spec and sets H2SPEC. Without H2SPEC the tests are skipped.
//
// # Concurrency
//
// The package contains only tests.
package h2spec
