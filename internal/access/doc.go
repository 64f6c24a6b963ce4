// Package access decides which caller may do what, and how much the caller may read.
//
// A [Policy] is a list of rules. A rule allows a set of identities to use verbs on services, and no
// rule forbids anything: what no rule allows is refused. [Compile] checks a policy. The result gives
// the [Rights] of an identity. All code that answers requests asks the rights for each name in a
// request, and for each entry that it sends. This is true for the gRPC methods of both health
// services, RegistryService and AdminService, for xDS, and for the HTTP pages.
//
// A name that a caller may not read is treated as a name that does not exist. So answers and errors
// do not tell whether it exists.
//
// # Concurrency
//
// The package has values and functions only. Compiled policies and rights are immutable.
package access
