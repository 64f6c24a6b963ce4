// Package compat compares the metrics of the archived library go-grpc-prometheus with the
// metrics of two successors. One successor is providers/prometheus of go-grpc-middleware.
// The other successor is the coordinator, which uses the first one (metrics.ServerMetrics
// and metrics.ClientMetrics). In the tests, all three count the same calls of one gRPC
// server. The package is a module of its own, so that go-grpc-prometheus never enters the
// module graph of users.
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
//   - The import of a successor registers no metric. The import of go-grpc-prometheus
//     registers its metrics in the default registry. A successor cannot be registered
//     in the same registry.
//   - Histograms are an option of the constructor. In go-grpc-prometheus a method
//     switches them on. By default there are no histograms, as before.
//
// The metrics of the coordinator have two more differences:
//
//   - The histogram grpc_*_handling_seconds is always on. It has no series for streams,
//     since the caller decides how long a stream lasts. All other metrics count streams.
//   - The histogram has the default buckets and three more below 5 ms. Queries for a
//     bucket (le) keep working.
//
// # Concurrency
//
// The package contains only tests.
package compat
