package health

import "time"

// OverrideKept is how long an override of one instance is kept after the instance was removed.
// It applies only to an override without ExpiresAt.
const OverrideKept = 24 * time.Hour

// Override is a status that a person forces.
type Override struct {
	Scope     Scope
	Status    Status
	Author    string
	Reason    string
	SetAt     time.Time
	ExpiresAt time.Time // time when the override ends; zero means that no end is set
	// GoneAt is the time when the instance to which the override applies was removed. It is
	// zero while this instance is registered. It is always zero if Scope is not one instance.
	GoneAt time.Time
}

// Ends returns the time when the override ends. It returns zero if no end is known.
func (o *Override) Ends() time.Time {
	if o.ExpiresAt.IsZero() && !o.GoneAt.IsZero() {
		return o.GoneAt.Add(OverrideKept)
	}
	return o.ExpiresAt
}
