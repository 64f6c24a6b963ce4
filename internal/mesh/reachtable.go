package mesh

import "github.com/meshhealth/meshhealth/health"

// reachState is the state of the reach layer of one instance.
type reachState uint8

const (
	// reachHeard means that the last status counts. An instance without a status is also in
	// this state.
	reachHeard reachState = iota
	// reachRestored means that no answer has come since the status was loaded from the store,
	// or since the lease was renewed after its end. The status is unconfirmed.
	reachRestored
	// reachOnce means that one refusal, error or malformed answer has come. A second one
	// decides. The status is unconfirmed.
	reachOnce
	// reachSuspect means that no answer comes. The status is unconfirmed.
	reachSuspect
	// reachRenewing means that no answer has come for longer than UnreachableAfter, but the
	// client renews the lease. The coordinator asks the client to push its status. The status
	// is unconfirmed.
	reachRenewing
	// reachQuota means that the target refuses calls because a limit is reached. The status
	// is unconfirmed.
	reachQuota
	// reachStranger means that another process answers at the address. The coordinator asks
	// the client to push its status. The status is unconfirmed, without a deadline.
	reachStranger
	// reachUnknown means that the answers say nothing about the health. The status is
	// UNKNOWN.
	reachUnknown
	// reachRefused means that the instance was given up because it refused connections. The
	// status is NOT_SERVING.
	reachRefused
	// reachUnreachable means that the instance was given up because no answer came. The
	// status is NOT_SERVING, unless a guard holds the instance.
	reachUnreachable
	// reachExpired means that the instance was given up because its lease has ended. The
	// status is NOT_SERVING, unless a guard holds the instance.
	reachExpired
	numReachStates
)

// sighting is the kind of one piece of evidence for the reach layer.
type sighting uint8

const (
	sawAnswer       sighting = iota // a valid answer came
	sawRenewal                      // the client renewed the lease
	sawFirstRefusal                 // a connection was refused for the first time
	sawFirstFault                   // an error or malformed answer came for the first time
	sawSilence                      // no answer came in time
	sawQuota                        // the target refused a call because a limit was reached
	sawStranger                     // an answer of another process came
	sawConfig                       // the answers say nothing about the health
	sawRefusal                      // a connection was refused for the second time
	sawOverdue                      // giveUp was due
	sawLapse                        // the lease ended
	numSightings
)

// reachTable has, for each state and each sighting, the next state. An instance in
// reachExpired that no guard holds leaves this state only after a proven answer or a renewal.
var reachTable = [numReachStates][numSightings]reachState{
	// The columns are: answer, renewal, first refusal, first fault, silence, quota, stranger,
	// config, refusal, overdue, lapse.
	reachHeard:       {reachHeard, reachHeard, reachOnce, reachOnce, reachSuspect, reachQuota, reachStranger, reachUnknown, reachRefused, reachHeard, reachExpired},
	reachRestored:    {reachHeard, reachRestored, reachRestored, reachOnce, reachSuspect, reachQuota, reachStranger, reachUnknown, reachRefused, reachUnreachable, reachExpired},
	reachOnce:        {reachHeard, reachOnce, reachOnce, reachOnce, reachSuspect, reachQuota, reachStranger, reachUnknown, reachRefused, reachUnreachable, reachExpired},
	reachSuspect:     {reachHeard, reachSuspect, reachSuspect, reachOnce, reachSuspect, reachQuota, reachStranger, reachUnknown, reachRefused, reachUnreachable, reachExpired},
	reachRenewing:    {reachHeard, reachRenewing, reachRenewing, reachOnce, reachRenewing, reachQuota, reachStranger, reachUnknown, reachRefused, reachUnreachable, reachExpired},
	reachQuota:       {reachHeard, reachQuota, reachOnce, reachOnce, reachSuspect, reachQuota, reachStranger, reachUnknown, reachRefused, reachUnknown, reachExpired},
	reachStranger:    {reachHeard, reachStranger, reachOnce, reachOnce, reachSuspect, reachQuota, reachStranger, reachUnknown, reachRefused, reachStranger, reachExpired},
	reachUnknown:     {reachHeard, reachUnknown, reachOnce, reachOnce, reachSuspect, reachQuota, reachUnknown, reachUnknown, reachRefused, reachUnknown, reachExpired},
	reachRefused:     {reachHeard, reachRefused, reachRefused, reachRefused, reachRefused, reachUnknown, reachRefused, reachUnknown, reachRefused, reachRefused, reachExpired},
	reachUnreachable: {reachHeard, reachRenewing, reachUnreachable, reachUnreachable, reachUnreachable, reachUnknown, reachUnreachable, reachUnknown, reachRefused, reachUnreachable, reachExpired},
	reachExpired:     {reachHeard, reachRestored, reachExpired, reachExpired, reachExpired, reachUnknown, reachExpired, reachUnknown, reachRefused, reachExpired, reachExpired},
}

// suspect reports whether the instance keeps its last status as unconfirmed in this state.
func (s reachState) suspect() bool { return s >= reachRestored && s <= reachStranger }

// silent reports whether no answer comes from the instance in this state. The guards count an
// instance in such a state as suspect.
func (s reachState) silent() bool { return s == reachSuspect || s == reachRenewing }

// lost reports whether s means that the instance was given up.
func (s reachState) lost() bool { return s >= reachRefused }

// lostBySilence reports whether s means that the instance was given up because no answer or
// no renewal came. A guard may hold an instance only in these states.
func (s reachState) lostBySilence() bool { return s == reachUnreachable || s == reachExpired }

// cause returns the cause for which the instance was given up. It returns CauseNone if the
// instance was not given up.
func (s reachState) cause() health.Cause {
	switch s {
	case reachRefused:
		return health.CauseRefused
	case reachUnreachable:
		return health.CauseUnreachable
	case reachExpired:
		return health.CauseLeaseExpired
	}
	return health.CauseNone
}
