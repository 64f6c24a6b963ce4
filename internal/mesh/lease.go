package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// lease is the lease of one instance. A static instance has no lease, and the deadlines are
// never armed.
type lease struct {
	end     deadline // end of the lease
	removal deadline // removal of the instance, if the lease has ended
	// fresh ends half of the TTL after the last renewal. Until then the renewal is recent.
	fresh deadline
	// awaited ends one TTL after a lease was loaded from the store. Until then the lease
	// counts as kept, although the client has not renewed it yet.
	awaited  deadline
	identity identity
}

// renew begins the lease again at now.
func (l *lease) renew(now moment, ttl time.Duration) {
	l.identity.renewed()
	l.end.arm(now, ttl)
	l.removal.disarm()
	l.fresh.arm(now, ttl/2)
}

// restore begins a lease that was loaded from the store. The lease ends after the TTL plus
// delay.
func (l *lease) restore(now moment, ttl, delay time.Duration) {
	l.fresh.disarm() // the client itself has not renewed the lease
	l.end.arm(now, ttl+delay)
	l.awaited.arm(now, ttl)
}

// ended reports whether the lease has ended and was not renewed since.
func (l *lease) ended(spec *health.Spec) bool { return !spec.Static && !l.end.armed() }

// renewedLately reports whether the client renewed within half of the TTL.
func (l *lease) renewedLately(now moment, spec *health.Spec) bool {
	return !spec.Static && l.fresh.at > now
}

// kept reports whether the last renewal is recent, or the lease was loaded less than one TTL
// ago.
func (l *lease) kept(now moment, spec *health.Spec) bool {
	return !spec.Static && max(l.fresh.at, l.awaited.at) > now
}

// extend delays all deadlines of the lease by the lateness of the owner.
func (l *lease) extend(late time.Duration) {
	l.end.extend(late)
	l.removal.extend(late)
	l.fresh.extend(late)
	l.awaited.extend(late)
}

// identity decides whether the answers from the address of an instance come from the
// registered process.
//
// An answer with a proof comes from the registered process. Without proofs, three events on
// one session (a stream or connection) decide: an answer on the session, then a renewal of
// the lease, then another answer on the session. Another process at the address has its own
// session, and its client does not renew this lease. If the registered process proves its
// answers, sessions do not count.
type identity struct {
	session  uint64 // session of the last answer; 0: no session is known
	stage    identityStage
	stranger bool // true if the last answer is proven to come from another process
	unproved bool // true if the last answer had no proof, although the process proves its answers
}

type identityStage uint8

const (
	stageUnknown  identityStage = iota // no answer has come on a session
	stageAnswered                      // an answer has come on the session
	stageRenewed                       // the client has renewed the lease after this answer
)

// answered handles a valid answer. proven reports whether the answer certainly comes from the
// registered process. proves says whether that process proves its answers.
func (i *identity) answered(ev *Event, proves bool) (proven bool) {
	i.stranger, i.unproved = false, proves && !ev.Proven
	switch {
	case ev.Proven:
		return true
	case ev.Session == 0, proves:
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
