package health

// Cause says, from a closed set, why a status is what it is.
type Cause uint8

// The causes. Their numbers are those of meshhealth.v1.Cause.
const (
	CauseNone            Cause = iota // none given
	CauseOK                           // everything passed
	CauseWarned                       // a check gave a warning
	CauseFailed                       // a check failed
	CauseTimeout                      // a check did not answer in time
	CausePanic                        // a check panicked
	CauseStale                        // the last evidence is too old
	CauseBlocked                      // something it depends on is bad
	CauseRefused                      // the target refused the connection
	CauseUnreachable                  // not reached for too long
	CauseTLS                          // the TLS handshake failed
	CauseUnauthenticated              // the target did not accept our identity
	CauseUnimplemented                // no health protocol we know
	CauseUnknownName                  // the target does not know the health name
	CauseLeaseExpired                 // the lease ran out
	CauseDraining                     // leaving on purpose
	CauseMaintenance                  // taken out by a person
	CauseForced                       // a person forced the status
	CauseFlapping                     // changes too often to be believed
	CauseGuarded                      // a lowering is held: too much failed at once
	CauseUnconfirmed                  // kept from before, not confirmed
	CauseStarting                     // no evidence yet
	numCauses
)

var causeNames = [numCauses]string{
	"", "ok", "warned", "failed", "timeout", "panic", "stale", "blocked",
	"refused", "unreachable", "tls", "unauthenticated", "unimplemented",
	"unknown_name", "lease_expired", "draining", "maintenance", "forced",
	"flapping", "guarded", "unconfirmed", "starting",
}

// Causes returns every cause but CauseNone.
func Causes() []Cause {
	all := make([]Cause, 0, numCauses-1)
	for c := CauseOK; c < numCauses; c++ {
		all = append(all, c)
	}
	return all
}

// String returns the cause's name, such as "lease_expired"; "" for CauseNone
// and for values out of range.
func (c Cause) String() string {
	if c >= numCauses {
		return ""
	}
	return causeNames[c]
}

// CauseFromWire returns the cause with this number of meshhealth.v1.Cause,
// CauseNone if there is none.
func CauseFromWire(n int32) Cause {
	if n < 0 || n >= int32(numCauses) {
		return CauseNone
	}
	return Cause(n)
}

// ParseCause returns the cause of this name.
func ParseCause(name string) (Cause, bool) {
	for c := range numCauses {
		if causeNames[c] == name {
			return c, true
		}
	}
	return CauseNone, false
}
