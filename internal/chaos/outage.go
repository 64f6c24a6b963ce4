package chaos

import "time"

// Outage is a time in which the coordinator could not publish: it was stopped,
// or dead, or had not found its targets again yet.
type Outage struct{ From, To time.Time }

// outages are in order and do not overlap.
type outages []Outage

// between returns how much time passed for the coordinator.
func (o outages) between(a, b time.Time) time.Duration {
	d := b.Sub(a)
	for _, one := range o {
		from, to := one.From, one.To
		if from.Before(a) {
			from = a
		}
		if to.After(b) {
			to = b
		}
		if to.After(from) {
			d -= to.Sub(from)
		}
	}
	return d
}
