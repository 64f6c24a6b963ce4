package registry

import "github.com/meshhealth/meshhealth/health"

// applied makes what was committed ours, and answers.
func (s *scribe) applied(d *draft, commands []*command) {
	s.adopt(d)
	s.answer(commands)
}

// adopt takes down what the store holds now.
func (s *scribe) adopt(d *draft) {
	for id, reg := range d.regs {
		if reg == nil {
			delete(s.committed, id)
			delete(s.forced, id)
			continue
		}
		s.committed[id] = *reg
	}
	for key, o := range d.overs {
		delete(s.forced, key)
		if o != nil {
			s.forced[key] = overrideRecord(key, o)
		}
	}
}

// answer tells the owner first, so that who has registered also finds itself.
func (s *scribe) answer(commands []*command) {
	var events []health.Event
	for _, c := range commands {
		if c.err == nil {
			events = append(events, c.events...)
		}
	}
	s.tellOwner(events)
	for _, c := range commands {
		c.done <- c.err
	}
}

// tellOwner hands over events, and waits until they are published.
func (s *scribe) tellOwner(events []health.Event) {
	if len(events) == 0 {
		return
	}
	published := make(chan struct{})
	for i := range events {
		m := message{event: events[i]}
		if i == len(events)-1 {
			m.done = published
		}
		s.send(m)
	}
	select {
	case <-published:
	case <-s.ownerStopped:
	}
}
