package domain

import "errors"

// The errors with which a call is refused. Code that returns one of these errors wraps it with the
// name of the instance, service or override.
var (
	// ErrNotFound means that no instance, service or override has the name.
	ErrNotFound = errors.New("not found")
	// ErrLeaseUnknown means that the coordinator does not know the lease. The
	// instance must register again.
	ErrLeaseUnknown = errors.New("lease unknown: register again")
	// ErrSuperseded means that another process has registered the instance's name.
	ErrSuperseded = errors.New("superseded by another process of the same name")
	// ErrStore means that the store does not accept records at the moment.
	ErrStore = errors.New("the store does not accept records at the moment")
	// ErrStopping means that the server is stopping.
	ErrStopping = errors.New("the server is stopping")
	// ErrLimit means that a limit is reached, such as the number of instances or connections.
	ErrLimit = errors.New("limit reached")
	// ErrNotAllowed means that the caller has no permission.
	ErrNotAllowed = errors.New("not allowed")
	// ErrIdentity means that the caller shows an identity that is not accepted.
	ErrIdentity = errors.New("not authenticated")
	// ErrKey means that the registration belongs to a process with another process key than the
	// caller's.
	ErrKey = errors.New("the registration belongs to another process")
	// ErrLeased means that the process of the instance still renews the lease of the instance.
	// Only this process may do what the caller has requested.
	ErrLeased = errors.New("its process renews its lease")
	// ErrLater means that this version does not implement what the caller has requested.
	ErrLater = errors.New("not implemented by this version")
)
