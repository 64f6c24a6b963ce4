// Package orca reports the load of a server to its clients as ORCA (Open Request Cost
// Aggregation). grpc's weighted_round_robin and Envoy's client_side_weighted_round_robin send
// traffic by these reports. While the server is DEGRADED, the reported load is raised, so that
// clients without a control plane send it less:
//
//	load, err := orca.New(orca.Config{Server: srv, Capacity: 500})
//	g := grpc.NewServer(append(srv.ServerOptions(), load.ServerOptions()...)...)
//	srv.Register(g)
//	err = load.Register(g) // only for clients that ask for reports out of band
//
// Such a client computes the weight of a server as calls per second / utilisation. The
// application utilisation is used if there is one, else that of the CPU. A utilisation must
// fall when the traffic falls, as that of the CPU does. A gauge that does not depend on the
// traffic lets the weights drift apart: fewer calls lead to a smaller weight, and this to
// still fewer calls. [Config.Capacity] needs no gauge and has no such drift.
//
// Load reports are not a signal of failure. An instance that is NOT_SERVING must be taken
// out by its health.
//
// # Concurrency
//
// The methods of a Reporter may be called concurrently. Register starts a goroutine for each
// open stream of reports, which ends with the stream.
package orca
