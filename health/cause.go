package health

import "fmt"

// Cause says in one word why a status has its value, such as "timeout". The constants below
// are all possible causes.
type Cause uint8

// Each constant has the same number as its value in the proto enum meshhealth.v1.Cause.
const (
	CauseNone            Cause = iota // no cause is given
	CauseOK                           // all evidence is good
	CauseWarned                       // a check returned a warning
	CauseFailed                       // a check failed
	CauseTimeout                      // a check did not return in time
	CausePanic                        // a check panicked
	CauseStale                        // the last evidence about the health is too old
	CauseBlocked                      // the check did not run, because a check on which it depends fails
	CauseRefused                      // the target refused the connection
	CauseUnreachable                  // the target did not answer for too long
	CauseTLS                          // the TLS handshake failed
	CauseUnauthenticated              // the target did not accept the coordinator's identity
	CauseUnimplemented                // the target serves no known health protocol
	CauseUnknownName                  // the target does not know the service name that the health call contains
	CauseLeaseExpired                 // the lease of the instance has ended, because nobody has renewed the lease
	CauseDraining                     // the instance shuts down on purpose
	CauseMaintenance                  // a person has taken the instance out of traffic
	CauseForced                       // an override, set by a person, replaces the computed status
	CauseFlapping                     // the status changes too often, so the worst recent status is kept
	CauseGuarded                      // many instances are silent at once, so each keeps its last status
	CauseUnconfirmed                  // the status is the last known one, which cannot be confirmed now
	CauseStarting                     // no evidence about the health has arrived yet
	CauseQuota                        // the target refused calls, because a limit of the target was reached
	CauseMalformed                    // the answers of the target are not valid
	NumCauses                         // the number of causes, CauseNone included
)

var causeNames = [NumCauses]string{
	"", "ok", "warned", "failed", "timeout", "panic", "stale", "blocked",
	"refused", "unreachable", "tls", "unauthenticated", "unimplemented",
	"unknown_name", "lease_expired", "draining", "maintenance", "forced",
	"flapping", "guarded", "unconfirmed", "starting", "quota", "malformed",
}

// String returns the name of the cause in lower case, such as "lease_expired". It returns ""
// for CauseNone and for unknown values.
func (c Cause) String() string {
	if c >= NumCauses {
		return ""
	}
	return causeNames[c]
}

// CauseFromWire returns the cause with the number n in the proto enum meshhealth.v1.Cause.
// It returns CauseNone for unknown numbers.
func CauseFromWire(n int32) Cause {
	if n < 0 || n >= int32(NumCauses) {
		return CauseNone
	}
	return Cause(n)
}

// ParseCause returns the cause that has a name, such as "lease_expired". The empty name is
// CauseNone. ok is false if the name is unknown.
func ParseCause(name string) (c Cause, ok bool) {
	for c = range NumCauses {
		if causeNames[c] == name {
			return c, true
		}
	}
	return CauseNone, false
}

// Cause returns the cause of s when no more exact cause is known, for example CauseFailed for
// NotServing.
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
