package mesh

import "github.com/meshhealth/meshhealth/health"

// reachState is the state of the reach layer of one instance.
type reachState uint8

const (
	// reachHeard means that the last status counts. An instance without a status, before its
	// first answer, is also in this state.
	reachHeard reachState = iota
	// reachRestored means that the status was loaded from the store, or that the client has
	// renewed a lease that had ended. No answer has come after that. The status is unconfirmed.
	reachRestored
	// reachOnce means that one refusal, error or malformed answer has come. The status is
	// unconfirmed. A second one of the same kind will decide the status.
	reachOnce
	// reachSuspect means that answers are missing. The status is unconfirmed.
	reachSuspect
	// reachRenewing means that no answer has come for longer than UnreachableAfter, but the
	// client renews the lease. The coordinator asks the client to push its status. The status
	// is unconfirmed.
	reachRenewing
	// reachQuota means that the target refuses calls because a limit is reached. The status
	// is unconfirmed.
	reachQuota
	// reachStranger means that another process answers at the address. The coordinator asks
	// the client to push its status. The status is unconfirmed, and no deadline changes it.
	reachStranger
	// reachUnknown means that the answers contain nothing about the health. The status is
	// UNKNOWN.
	reachUnknown
	// reachRefused means that the instance was declared dead because it refused connections. The
	// status is NOT_SERVING.
	reachRefused
	// reachUnreachable means that the instance was declared dead because no answer came. The
	// status is NOT_SERVING, unless a guard keeps the reported status.
	reachUnreachable
	// reachExpired means that the instance was declared dead because its lease has ended. The
	// status is NOT_SERVING, unless a guard keeps the reported status.
	reachExpired
	numReachStates
)

// sighting is a kind of evidence about an instance. The reach layer treats all evidence of one kind
// alike.
type sighting uint8

const (
	sawAnswer       sighting = iota // a valid answer came
	sawRenewal                      // the client renewed the lease
	sawFirstRefusal                 // a connection was refused for the first time
	sawFirstFault                   // an error or malformed answer came for the first time
	sawSilence                      // no answer came in time, or the path failed
	sawQuota                        // the target refused a call because a limit was reached
	sawStranger                     // an answer of another process came
	sawConfig                       // an answer came that contains nothing about the health
	sawRefusal                      // a connection was refused for the second time
	sawOverdue                      // the deadline giveUp was due, at which a suspect instance is declared dead
	sawLapse                        // the lease ended
	numSightings
)

// reachTable has the next state for each state and each sighting. reachExpired is the state of an
// instance whose lease has ended. If no guard keeps its status, the instance leaves this state only
// after a proven answer or a renewal.
var reachTable = [numReachStates][numSightings]reachState{
	// Each row has one column per sighting: answer, renewal, first refusal, first fault,
	// silence, quota, stranger, config, refusal, overdue, lapse.
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

// suspect reports whether, in this state, the instance keeps its last status as unconfirmed.
func (s reachState) suspect() bool { return s >= reachRestored && s <= reachStranger }

// silent reports whether, in this state, answers of the instance are missing. The guards count
// such an instance as suspect.
func (s reachState) silent() bool { return s == reachSuspect || s == reachRenewing }

// lost reports whether s is a state of an instance that was declared dead.
func (s reachState) lost() bool { return s >= reachRefused }

// lostBySilence reports whether s means that the instance was declared dead because answers or
// renewals were missing. A guard may keep the reported status only in these states.
func (s reachState) lostBySilence() bool { return s == reachUnreachable || s == reachExpired }

// cause returns the cause of the status of an instance that was declared dead. It returns CauseNone
// for other instances.
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
