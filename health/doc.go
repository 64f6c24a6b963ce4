// Package health is the vocabulary of meshhealth: statuses, causes, names, states, changes
// and policies.
//
// # For authors of checks
//
// A check is a func(context.Context) error. Its result decides the status:
//
//	return nil                                        // the check passes
//	return err                                        // the check fails
//	return health.Warning(err)                        // a warning: DEGRADED at worst
//	return health.Warnf("%d of %d replicas", up, all) // a warning with a new text
//
// [With] and [Hint] add information to an error for the person who reads it:
//
//	err = health.With(err, "host", host)
//	err = health.Hint(err, "is the password of the replica expired?")
//
// By default the first failure makes a SERVING check DEGRADED, and the third failure in a
// row makes it NOT_SERVING. Two passes in a row make it SERVING again. The first result of a
// check decides its status at once. The thresholds are fields of server.Check.
//
// # For users of statuses
//
// A [State] is what is published about an instance, a service, a zone or the mesh. A
// [Change] is a new state with the status before it. The packages server and coordinator
// compute the statuses. [Policy] and [MeshPolicy] hold the settings for this computation.
//
// # Concurrency
//
// All functions may be called concurrently. The types are values without locks.
package health
