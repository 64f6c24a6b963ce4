package health

import "fmt"

// Cause says why a status is as it is. It is one of a fixed set of values.
type Cause uint8

// The causes. They have the numbers of meshhealth.v1.Cause.
const (
	CauseNone            Cause = iota // no cause is given
	CauseOK                           // all evidence is good
	CauseWarned                       // a check returned a warning
	CauseFailed                       // a check failed
	CauseTimeout                      // a check did not return in time
	CausePanic                        // a check panicked
	CauseStale                        // the last evidence is too old
	CauseBlocked                      // a dependency of a check fails
	CauseRefused                      // the target refused the connection
	CauseUnreachable                  // the target did not answer for too long
	CauseTLS                          // the TLS handshake failed
	CauseUnauthenticated              // the target did not accept the coordinator's identity
	CauseUnimplemented                // the target serves no known health protocol
	CauseUnknownName                  // the target does not know the health name
	CauseLeaseExpired                 // the lease has ended
	CauseDraining                     // the instance leaves on purpose
	CauseMaintenance                  // a person has taken the instance out
	CauseForced                       // a person has forced the status
	CauseFlapping                     // the status changes too often, and is suppressed
	CauseGuarded                      // a guard keeps the status, because too many instances are silent
	CauseUnconfirmed                  // the status is an earlier one that is not confirmed now
	CauseStarting                     // there is no evidence yet
	CauseQuota                        // a limit of the target was reached, so that it refused calls
	CauseMalformed                    // the answers of the target are not valid
	NumCauses                         // the number of causes, CauseNone included
)

var causeNames = [NumCauses]string{
	"", "ok", "warned", "failed", "timeout", "panic", "stale", "blocked",
	"refused", "unreachable", "tls", "unauthenticated", "unimplemented",
	"unknown_name", "lease_expired", "draining", "maintenance", "forced",
	"flapping", "guarded", "unconfirmed", "starting", "quota", "malformed",
}

// String returns the name of the cause, such as "lease_expired". It returns "" for
// CauseNone and for unknown values.
func (c Cause) String() string {
	if c >= NumCauses {
		return ""
	}
	return causeNames[c]
}

// CauseFromWire returns the cause with a number of meshhealth.v1.Cause. It returns
// CauseNone for unknown numbers.
func CauseFromWire(n int32) Cause {
	if n < 0 || n >= int32(NumCauses) {
		return CauseNone
	}
	return Cause(n)
}

// ParseCause returns the cause with a name. The empty name is CauseNone. ok is false if the
// name is unknown.
func ParseCause(name string) (c Cause, ok bool) {
	for c = range NumCauses {
		if causeNames[c] == name {
			return c, true
		}
	}
	return CauseNone, false
}

// Cause returns the usual cause of a status.
func (s Status) Cause() Cause {
	return [NumStatuses]Cause{
		Unknown: CauseUnconfirmed, Serving: CauseOK, Degraded: CauseWarned, NotServing: CauseFailed,
		Starting: CauseStarting, Draining: CauseDraining, Maintenance: CauseMaintenance,
	}[s]
}

// MarshalText implements encoding.TextMarshaler. It returns the name of the cause.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It accepts the name of a cause.
func (c *Cause) UnmarshalText(text []byte) error {
	parsed, ok := ParseCause(string(text))
	if !ok {
		return fmt.Errorf("%q is not a cause", text)
	}
	*c = parsed
	return nil
}
