// Package compat compares the metrics of the archived go-grpc-prometheus with the
// metrics of two successors. One successor is providers/prometheus of
// go-grpc-middleware. The other one is the coordinator, which builds on it
// (metrics.ServerMetrics and metrics.ClientMetrics). All of them are chained on
// one gRPC server and count the same calls. The package is a module of its own, so
// that go-grpc-prometheus never enters the module graph of our users.
//
// The names, labels, help texts and values of all metrics are the same, on the
// server and on the client, for every kind of call. The series that exist before
// the first call are also the same (17 codes for each method). Dashboards
// therefore keep working. The tests check this, and each of these differences:
//
//   - A handler that returns a context error without a gRPC status is counted as
//     Canceled or DeadlineExceeded. go-grpc-prometheus counts it as Unknown.
//   - grpc_client_msg_received_total of unary calls counts answers.
//     go-grpc-prometheus counts the calls that failed.
//   - grpc_client_handled_total and the histogram count client streams that ended
//     without an error. go-grpc-prometheus leaves them out.
//   - The import of a successor registers no metric. go-grpc-prometheus registers
//     its names in the default registry. A program can have only one of both there.
//   - Histograms are an option of the constructor. go-grpc-prometheus switches them
//     on by a method. They are off by default in both.
//
// The metrics of the coordinator have two more differences:
//
//   - grpc_*_handling_seconds is always on. It has no series for streams, since
//     their caller decides how long they last. All other metrics count streams too.
//   - Its buckets are the default ones and three more below 5 ms. Queries for a
//     bucket (le) keep working.
//
// # Concurrency
//
// The package contains only tests.
package compat
