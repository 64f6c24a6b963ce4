// Package check has ready-made checks for a server:
//
//	s.Add(
//		server.Check{Name: "db", Run: check.SQL(db)},
//		server.Check{Name: "cache", Run: check.Redis(rdb), OnFail: server.Degrade},
//		server.Check{Name: "jobs", Run: check.Gauge(queue.Len, "jobs", check.AtMost(1000, 5000))},
//	)
//
// They take the client the service already has, never an address and a
// password: a check that opens connections of its own says nothing about those
// the service works with. Clients are known by their methods (client.go), so no
// driver is imported. TCP and HTTP are for what has no client.
//
// What a check measures (a pool's connections, the age of a heartbeat) is shown
// with it. A check made with arguments that cannot work fails, and says why.
//
// # Concurrency
//
// A check may run in several servers at once. None leaves a goroutine behind;
// GRPC keeps a stream beside it (server.Beside), which ends with it.
package check
