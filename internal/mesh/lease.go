package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// lease is the lease of one instance: a limit in time that the client must renew. A static
// instance has no lease, so the deadlines in its lease value are never armed.
type lease struct {
	end     deadline // end of the lease
	removal deadline // moment when the instance is removed; armed when the lease ends
	// fresh ends half a TTL after the last renewal. Before its end, the renewal counts as recent.
	fresh deadline
	// awaited ends one TTL after the lease was loaded from the store. Before its end, the
	// coordinator assumes that the client still renews the lease.
	awaited  deadline
	identity identity
	// renewedAt is the moment of the last renewal. It is 0 if none came since the coordinator started.
	renewedAt moment
}

// renew begins the lease again at the moment now, for the duration ttl.
func (l *lease) renew(now moment, ttl time.Duration) {
	l.identity.renewed()
	l.renewedAt = now
	l.end.arm(now, ttl)
	l.removal.disarm()
	l.fresh.arm(now, ttl/2)
}

// restore begins a lease that was loaded from the store. The lease ends after ttl plus delay.
// Here delay is the amnesty, which gives the client more time after a restart of the coordinator.
func (l *lease) restore(now moment, ttl, delay time.Duration) {
	l.renewedAt = 0
	l.fresh.disarm() // a lease that was loaded from the store does not count as renewed by the client
	l.end.arm(now, ttl+delay)
	l.awaited.arm(now, ttl)
}

// ended reports whether the lease has ended and the client has not renewed it since.
func (l *lease) ended(spec *health.Spec) bool { return !spec.Static && !l.end.armed() }

// renewedLately reports whether the client has renewed the lease less than half a TTL ago.
func (l *lease) renewedLately(now moment, spec *health.Spec) bool {
	return !spec.Static && l.fresh.at > now
}

// kept reports whether the client probably still renews the lease. It returns true if the last
// renewal is recent, or if the lease was loaded from the store less than one TTL ago.
func (l *lease) kept(now moment, spec *health.Spec) bool {
	return !spec.Static && max(l.fresh.at, l.awaited.at) > now
}

// extend delays all deadlines of the lease by the lateness of this process.
func (l *lease) extend(lateness time.Duration) {
	l.end.extend(lateness)
	l.removal.extend(lateness)
	l.fresh.extend(lateness)
	l.awaited.extend(lateness)
}

// identity decides whether answers from the address of an instance come from the registered
// process.
//
// An answer with a proof of the process key comes from the registered process. If this process
// sends no proofs, three events decide: an answer on a session (a stream or connection), then a
// renewal of the lease, then another answer on the same session. This works because another
// process at the address has another session, and does not renew this lease. If the registered
// process sends proofs, only proofs decide.
type identity struct {
	session  uint64 // number of the stream or connection of the last answer; 0 if there is no such number
	stage    identityStage
	stranger bool // true if another process has certainly sent the last answer
	unproved bool // true if the last answer had no proof, although the process normally sends proofs
}

type identityStage uint8

const (
	stageUnknown  identityStage = iota // no answer has come on a stream or connection with a known number
	stageAnswered                      // an answer has come on the stream or connection with the number session
	stageRenewed                       // an answer has come on the stream or connection with the number session, and the client has renewed the lease after it
)

// answered handles a valid answer. sendsProofs says whether the registered process adds proofs to
// its answers. The result is true if the answer certainly comes from this process.
func (i *identity) answered(ev *Event, sendsProofs bool) (proven bool) {
	i.stranger, i.unproved = false, sendsProofs && !ev.Proven
	switch {
	case ev.Proven:
		return true
	case ev.Session == 0, sendsProofs:
		return false
	case i.session != ev.Session:
		i.session, i.stage = ev.Session, stageAnswered
		return false
	}
	return i.stage == stageRenewed
}

// renewed notes that the client has renewed the lease.
func (i *identity) renewed() {
	if i.stage == stageAnswered {
		i.stage = stageRenewed
	}
}
