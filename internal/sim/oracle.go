package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

func newOracle(w *world) *oracle {
	o := &oracle{
		w: w, expected: map[string]int{}, acked: map[health.ID]uint64{},
		waiting: map[health.ID]forced{}, heard: map[uint64]bool{},
	}
	o.forget()
	return o
}

// forget drops the published states and all counts, since a coordinator that crashes loses
// them.
func (o *oracle) forget() {
	o.records, o.aggregates = map[health.ID]*record{}, map[health.ID]*health.State{}
	o.dirty, o.zones = map[string]bool{}, map[string]*zone{}
	o.touched, o.revision, o.vague, o.away, o.unheard = nil, 0, 0, 0, o.stamp()
}

// isOverForgiven reports whether the coordinator was late by more than four times `length` in
// total since the time s. In this case, a wait of this length that began at s is over-forgiven: the
// coordinator extends the wait no further.
func (o *oracle) isOverForgiven(s stamp, length time.Duration) bool {
	return s.set && o.forgiven-s.forgiven > 4*length
}

// mayBeOverForgiven reports whether the coordinator may have been late by more than it forgives
// since the instance became suspect. length is the time for which a suspect instance keeps its
// last status.
func (o *oracle) mayBeOverForgiven(r *record, length time.Duration) bool {
	capped := r.suspectFrom.set && o.forgiven > r.suspectFrom.forgiven && o.w.now >= r.heardThen+4*o.policy().UnreachableAfter
	return capped || o.isOverForgiven(r.suspectFrom, length)
}

// awakeFor returns the duration since the time s, minus the lateness of the coordinator in this
// duration.
func (o *oracle) awakeFor(s stamp) time.Duration {
	return o.w.now - s.at - (o.forgiven - s.forgiven)
}

func (o *oracle) forgive(late time.Duration) {
	o.forgiven += late
	after := o.policy().UnreachableAfter
	if late > after {
		o.away = o.noticed.at + late
	}
	for _, r := range o.records {
		quiet := max(r.heard, o.away)
		r.silentAfter.extend(late, quiet+2*after)
		r.giveUp.extend(late, quiet+4*after)
	}
}

func deadlineAfter(now, length time.Duration) deadline {
	return deadline{ends: now + length, length: length, set: true}
}

func (w *deadline) extend(late, last time.Duration) {
	late = max(0, min(late, 4*w.length-w.moved, last-w.ends))
	w.ends, w.moved = w.ends+late, w.moved+late
}

func (r *record) leaving() bool { return r.said == health.Draining || r.said == health.Maintenance }

// excused reports whether the instance has reported a status that silence does not change:
// MAINTENANCE, or DRAINING with a lease.
func (r *record) excused() bool {
	return r.said == health.Maintenance || r.said == health.Draining && !r.static
}

// drained reports whether the instance is static, has reported DRAINING and refuses
// connections. Its process has then ended, and may have started again.
func (r *record) drained() bool {
	return r.static && r.said == health.Draining && r.refusedAt != 0 && r.suspectFrom.set
}

// markTouched makes checkTouched check the record r at the end of this call of core.Step.
func (o *oracle) markTouched(r *record) {
	if !r.dirty {
		r.dirty = true
		o.touched = append(o.touched, r)
	}
}

func (o *oracle) expect(service string, bits int) {
	o.expected[service] = bits
	o.dirty[service] = true
}
