package sim

import (
	"strconv"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// isSecond is called for each piece of evidence of one kind, such as a refused connection. It
// reports whether the first piece came at least a second ago. first points to the time of the
// first piece. A time of 0 means that this is the first piece, and isSecond sets the time.
func (o *oracle) isSecond(first *time.Duration) bool {
	if *first == 0 {
		*first = o.w.now
	}
	return o.w.now-*first >= time.Second
}

// noteAnswer updates the record r after a valid answer from the address of the instance, or
// after a status that its client has pushed. The answer renews the lease only if it certainly
// comes from the registered process.
func (r *record) noteAnswer(m *message) {
	o := r.o
	ev := &m.ev
	if ev.Kind != mesh.EventReport || ev.Report.Source != health.SourcePush { // a status that the client pushes does not come from the address of the instance
		r.stranger = false
	}
	known := r.named && o.w.now > r.namedAt+10*lag // the server has known the name for health calls for some time, so the follower must use this name
	if known && ev.Kind == mesh.EventReport && stock(ev.Report.Source) && !ev.Report.Named {
		o.w.fail("name", "%s has known its health name, and is followed by another: %+v", r.in.id, ev.Report)
	}
	own := r.proves(ev)
	if own && !m.own && !r.static {
		o.w.fail("impostor", "another process passes for %s: %+v", r.in.id, ev)
	}
	if m.own {
		r.spoke = o.stamp()
	}
	if ev.Kind == mesh.EventReport {
		r.note(o.w.now, &ev.Report)
	}
	if !own && r.ended.set {
		return
	}
	r.clearSuspicion()
	r.expired, r.heard = stamp{}, o.w.now
	if own {
		r.noteRenewal()
	}
	if ev.Kind == mesh.EventReport {
		r.noteReport(&ev.Report)
	} else if r.spoken && (r.lowered || r.last != r.said) {
		r.noteReport(&mesh.Report{Source: r.lastBy, Status: r.last})
	}
}

func (r *record) note(now time.Duration, rep *mesh.Report) {
	r.spoken, r.last, r.lastBy = true, rep.Status, rep.Source
	if rep.Named && !r.named {
		r.named, r.namedAt = true, now
	}
}

// proves reports whether an answer certainly comes from the registered process. This needs a
// proof in the answer, or a renewal of the lease between two answers on one stream.
func (r *record) proves(ev *mesh.Event) bool {
	switch {
	case ev.Proven || ev.Kind == mesh.EventReport && ev.Report.Source == health.SourcePush:
		return true
	case ev.Session == 0, r.in.embedded():
		return false
	case r.session != ev.Session:
		r.session, r.before, r.between = ev.Session, true, false
	}
	return r.between
}

// noteFailure updates the record r after a refused connection, an error, or an invalid answer.
// It does the same after an answer of a process that is not the registered one.
func (r *record) noteFailure(ev *mesh.Event) {
	o := r.o
	switch ev.Kind {
	case mesh.EventRefused:
		r.noteRefusal()
	case mesh.EventConfig:
		r.noteConfiguration(ev.Cause)
	case mesh.EventFailed:
		if !o.isSecond(&r.failedAt) {
			r.suspectAnswer()
			return
		}
		since := r.failedAt
		r.clearSuspicion()
		r.expired, r.failedAt = stamp{}, since
		r.noteReport(&mesh.Report{Source: ev.Report.Source, Status: health.NotServing, Cause: health.CauseFailed})
	case mesh.EventMalformed:
		if !o.isSecond(&r.garbledAt) {
			r.suspectAnswer()
			return
		}
		since := r.garbledAt
		r.noteConfiguration(ev.Cause)
		r.garbledAt = since
	case mesh.EventQuota:
		if r.lost() || r.config == health.CauseQuota && !r.suspectFrom.set {
			r.noteConfiguration(health.CauseQuota)
			return
		}
		r.suspectAnswer()
		r.full = true
	case mesh.EventStranger:
		if !r.lost() && (r.config == health.CauseNone || r.suspectFrom.set) {
			r.suspectAnswer()
			r.byStranger = true
		}
	}
}

// suspectAnswer makes the instance suspect because it has answered without a status. This
// answer shows that the network path works, so the instance is not silent.
func (r *record) suspectAnswer() {
	if r.pushers > 0 || r.lost() {
		return
	}
	r.markSuspect()
	r.silent, r.silentAfter = false, deadline{}
}

func (r *record) noteConfiguration(why health.Cause) {
	since := r.garbledAt
	r.clearSuspicion()
	r.config, r.waiting, r.expired, r.garbledAt = why, stamp{}, stamp{}, since
}

// lives reports whether the process that registered the instance is still running.
func (r *record) lives() bool {
	return r.in.up && (r.static || strconv.FormatUint(r.in.incarnation, 10) == r.incarnation)
}

// wantedCause returns the cause that must be published with the status of the instance. CauseNone
// means that every cause is allowed.
func (r *record) wantedCause() health.Cause {
	if r.config == health.CauseNone && r.failed && r.said == health.NotServing {
		return health.CauseFailed
	}
	return r.config
}
