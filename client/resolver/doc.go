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
//   - "round_robin" and "weighted_round_robin" know neither shares nor registered weights. Therefore
//     each channel gets all healthy instances and a random part of the degraded ones. The part is so
//     large that the share is right on average over channels.
//   - "pick_first" uses one instance. The list starts with the zone of the channel, then has its
//     region, and then the rest. In some channels the degraded instances come first, so that they
//     get their share over all channels. A channel stays with its instance while this is in the list.
//   - "ring_hash_experimental" reads weights. Use the target meshhealth:///payments?share=weights
//     for it: the list is then the same in all channels, and the weights have the share.
//
// If no healthy instance can be connected to, only the policy "meshhealth" uses degraded instances
// that have no share.
//
// # Zone preference
//
// The policy "meshhealth" sends a zone at most 1.4 times the traffic that the zone would get without
// a preference. It prefers the zone of the channel, then its region. So no zone is overloaded, even if
// all callers are in one small zone.
//
// # Outages
//
// While the coordinator cannot be reached, channels keep the last known instances. After a restart
// without its data, the coordinator does not know instances until they have registered again. The
// resolver keeps such instances for 10 min, and does not remove the last of them. A process that
// starts while the coordinator is away knows no instance: its calls fail until the coordinator
// answers, or wait if they are marked to wait for ready.
//
// # Concurrency
//
// A [Resolver] may be used by any number of channels at the same time. All channels share one Watch
// of the coordinator for each 128 services. There is no Watch without a channel. Each channel and each
// Watch has a goroutine, which ends when the channel is closed or becomes idle.
package resolver
