// Package access decides who may do what with which name, and how much the caller sees.
//
// A [Policy] maps a [Principal], a [Verb] and a [Name] to a [Decision]. Every handler of
// requests asks the policy for every name of a request, and for every entry that it sends.
// These are the gRPC methods of both health services, RegistryService, AdminService and the
// HTTP pages. [TrustPolicy] is the only policy.
//
// # Concurrency
//
// The package has values and functions only. A Policy must be safe for concurrent use.
package access
