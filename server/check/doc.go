// Package check provides checks for package server:
//
//	s.Add(
//		server.Check{Name: "db", Run: check.SQL(db)},
//		server.Check{Name: "cache", Run: check.Redis(rdb), OnFail: server.Degrade},
//		server.Check{Name: "jobs", Run: check.Gauge(queue.Len, "jobs", check.AtMost(1000, 5000))},
//	)
//
// A check uses the client that the service already has. A check with connections of its
// own would not test the connections of the service. The parameters for clients are interfaces
// with one or two methods, so that the package imports no driver. TCP and HTTP are for targets
// for which the service has no client.
//
// A measured value, such as the number of connections of a pool, is shown with the check.
// A check with invalid arguments always fails, and its reason names the argument.
//
// # Concurrency
//
// A check may run in several servers at the same time. No check leaves a goroutine behind.
// GRPC keeps a stream open between its runs (see server.Background). The stream ends when
// the check is removed.
package check
