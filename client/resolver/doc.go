// Package resolver resolves names of services for gRPC clients without xDS:
//
//	c, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
//	r, err := resolver.New(c, resolver.Config{Zone: "eu-1a", Region: "eu-1"})
//	conn, err := grpc.NewClient("meshhealth:///payments", grpc.WithResolvers(r),
//		grpc.WithDefaultServiceConfig(resolver.ServiceConfig), creds)
//
// A channel gets the instances that may receive traffic, and each change of them within moments.
// Degraded instances get the same share of the traffic as from plain xDS clients: what the healthy
// instances cannot take.
//
// # Policies
//
// The load balancing policy of the channel decides what is used of this:
//
//   - "meshhealth" is the policy of this package, which [ServiceConfig] selects. It follows the
//     share of degraded instances, the weights and the zone preference exactly.
//   - "round_robin" and "weighted_round_robin" get all healthy instances and a random part of the
//     degraded ones. So the share is right on average over channels.
//   - "pick_first" gets the zone of the channel first, then its region, and then the rest. In some
//     channels degraded instances come first.
//   - "ring_hash_experimental" reads weights, if the target ends with ?share=weights. The list is then
//     the same in all channels.
//
// # Zone preference
//
// The policy "meshhealth" sends a zone at most 1.4 times the traffic that the zone would get without
// a preference. It prefers the zone of the channel, then its region. So no zone is overloaded, even if
// all callers are in one small zone.
//
// # Outages
//
// While the coordinator cannot be reached, channels keep the last known instances. Instances that a
// restarted coordinator does not know are kept for 10 min, and for longer if it knows no other.
//
// # Concurrency
//
// A [Resolver] may be used by any number of channels at the same time. All channels share one Watch
// of the coordinator for each 128 services. There is no Watch without a channel. Each channel and each
// Watch has a goroutine, which ends when the channel is closed or becomes idle.
package resolver
