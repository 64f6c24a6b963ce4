// Package xds tests the coordinator with the xDS clients that users have: grpc-go, grpc-js and C-core.
// Each of these stacks runs in a process of its own, which makes real calls to real backends.
//
// A backend (backend_test.go) serves calls on one port, and its health on another port. The
// coordinator reaches the second port through a proxy, which a test can freeze. So the coordinator
// loses sight of a backend that clients still reach. The coordinator is the program meshhealth, and
// tests kill and suspend it (coordinator_test.go).
//
// # The drivers
//
// A driver (testdata/grpcgo, grpcjs, grpccore) reads a command as JSON from each line of stdin:
//
//	{"seq": 1, "do": "calls", "target": "xds:///pay", "secure": false, "count": 400, "inflight": 4}
//
// It answers with a line {"seq": 1, "backends": {"b0": 400}, "errors": {}}, which counts the calls by
// backend and by error. The commands run concurrently. There is one channel for each target.
//
//   - calls makes count calls, with inflight calls at a time.
//   - start makes calls without an end, with inflight calls at a time.
//   - take returns the counts of these calls since the last take.
//   - stop ends these calls, and returns their counts since the last take.
//
// A driver ends when its stdin ends.
//
// # Concurrency
//
// The package has only tests. All stacks make their calls at the same time.
package xds
