package health

// overridden is layer 5: what a person forces replaces the value and feeds
// nothing below.
func (in *instance) overridden(v verdict) verdict {
	if in.forced == nil {
		return v
	}
	cause := CauseForced
	if in.forced.Status == Maintenance {
		cause = CauseMaintenance
	}
	return verdict{status: in.forced.Status, cause: cause, reason: in.forced.Reason, unconfirmed: v.unconfirmed}
}

// override sets or clears it. One that has expired already is not set.
func (m *Mesh) override(in *instance, o *Override) {
	in.forced = nil
	in.deadlines[dlOverride].disarm()
	if o == nil {
		return
	}
	if o.ExpiresAt.IsZero() {
		in.forced = o
		return
	}
	if left := o.ExpiresAt.Sub(m.wall); left > 0 {
		in.forced = o
		in.deadlines[dlOverride].arm(m.now, left)
	}
}
