// Package xds serves the endpoints of all services to routing clients, over the Aggregated Discovery
// Service (ADS). Such clients are Envoy, and gRPC with targets such as xds:///payments. Both variants
// of the protocol are served: state of the world and delta.
//
// # How a change reaches a client
//
//   - [Server.Run] reads the feed, and [Server.Apply] receives changed endpoints. It renders each changed service once for each
//     rendering, and without a lock (see package routing).
//   - The catalog holds the rendered resources, already encoded, with a version that is a hash of
//     their content. A resource knows its subscribers. Each subscriber gets a mark for the resource,
//     and its stream is woken.
//   - Each stream has one sender. It takes the resources that are marked, and sends their newest
//     content. A slow client thus gets fewer messages, and nothing waits for it.
//
// # Rules
//
//   - Nothing is sent before the coordinator has loaded its registrations. A client that has resources
//     from an earlier run gets nothing before all instances could register again.
//   - If a service no longer exists, a client keeps the resources that it has named, and the endpoint
//     set becomes empty. Envoy would keep the endpoints of a set that is removed. A call of gRPC
//     would fail, even if it waits for the service, while its resources are removed and come back.
//   - Versions are equal after a restart and on all coordinators. So a delta client that reconnects
//     gets only what has changed.
//   - With the state of the world, listeners and clusters are always sent all together. Routes and
//     endpoint sets are sent alone. The protocol demands this.
//
// # Concurrency
//
// The methods of Server may be called at any time, concurrently. One lock guards the catalog and the
// sessions (the state of each stream). It is not held while a message is sent or received.
package xds
