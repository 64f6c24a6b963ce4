// Package access decides which caller may do what, and how much the caller may read.
//
// A [Policy] maps a [Principal], a [Verb] and a [Name] to a [Decision]. All code that answers
// requests asks the policy for each name in a request, and for each entry that it sends. This is
// true for the gRPC methods of both health services, RegistryService and AdminService, and for
// the HTTP pages. [TrustPolicy] is the only policy.
//
// # Concurrency
//
// The package has values and functions only. A Policy must be safe for concurrent use.
package access
