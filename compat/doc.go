// Package compat compares the metrics of go-grpc-prometheus, which is archived,
// with those that took its place: providers/prometheus of go-grpc-middleware,
// and what the coordinator makes of it (metrics.ServerMetrics and
// metrics.ClientMetrics). All are chained on one gRPC server and see the same
// calls. It is a module of its own, so that the archived one never enters the
// module graph of our users.
//
// The names, labels, help texts and values of all metrics are the same, on both
// sides, for every kind of call and the series made beforehand (17 codes per
// method). Dashboards keep working. The tests hold this, and each difference:
//
//   - A handler that returns a bare context error counts as Canceled or
//     DeadlineExceeded, as its caller sees it; it used to count as Unknown.
//   - grpc_client_msg_received_total of unary calls counts answers; it used to
//     count the calls that failed.
//   - grpc_client_handled_total, and the histogram, count client streams that
//     ended well; they used to be left out.
//   - Nothing is registered by importing the package. go-grpc-prometheus takes
//     these names in the default registry, so there only one of both can be.
//   - Histograms, off in both unless asked for, are an option of the
//     constructor. They were switched on by a method.
//
// And what is the coordinator's own:
//
//   - grpc_*_handling_seconds is always on, and has no series for streams: they
//     last as long as their caller likes. Their other metrics are complete.
//   - Its buckets are the default ones and three below 5 ms, so queries for an
//     le keep working.
//
// # Concurrency
//
// There is nothing here but tests.
package compat
