package watch

import "slices"

// Breakers returns how many addresses there are by the state of their breaker:
// "closed", "open" and "half-open", each of which is always there.
func (w *Watcher) Breakers() map[string]int {
	by := map[string]int{}
	for s := range numBreakerStates {
		by[s.String()] = 0
	}
	for _, e := range w.pool.all() {
		by[e.state().String()]++
	}
	return by
}

// OpenAddresses returns the first addresses, in order, whose breaker is open or
// half-open, most of them at most, and how many there are in all.
func (w *Watcher) OpenAddresses(most int) (addresses []string, all int) {
	for _, e := range w.pool.all() {
		if e.state() != stateClosed {
			addresses = append(addresses, e.place.address)
		}
	}
	slices.Sort(addresses)
	all = len(addresses)
	return addresses[:min(max(0, most), all)], all
}

func (e *endpoint) state() (s breakerState) {
	e.enter(func(b *breaker) { s = b.state() })
	return s
}

// all returns the endpoints there are, so that nobody is asked under the lock.
func (p *pool) all() []*endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*endpoint, 0, len(p.places))
	for _, e := range p.places {
		all = append(all, e)
	}
	return all
}
