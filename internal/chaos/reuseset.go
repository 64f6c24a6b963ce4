package chaos

import "github.com/meshhealth/meshhealth/health"

// reuseSet is a set of targets of the scenario "reuse" that are killed together, since one
// process hosts them. A second process hosts the occupants: the servers that take the
// addresses of the killed targets.
type reuseSet struct {
	*rig
	moves     bool // true if the killed targets are started again at other addresses
	killed    []*killedTarget
	host      *hostProcess // the process of the targets
	occupants *hostProcess // the process of the occupants
}

func newReuseSet(r *rig, moves bool) *reuseSet {
	return &reuseSet{rig: r, moves: moves, killed: killedTargets(moves)}
}

// openTargets starts the targets. It also starts the process of the occupants, which has no
// targets yet, so that the occupants can later take the addresses without a delay.
func (s *reuseSet) openTargets() (err error) {
	if s.host, err = s.rig.host(groupsOf(s.killed, (*killedTarget).group)...); err != nil {
		return err
	}
	for i, at := range s.host.listTargets() {
		s.killed[i].address = at.address
	}
	s.occupants, err = s.rig.host()
	return err
}

// replaceTargets kills the targets, and starts the occupants at the addresses of the targets.
func (s *reuseSet) replaceTargets() error {
	for _, k := range s.killed {
		s.recordEnd(k.id(), k.how)
		s.record.addUndecided(serviceState(k.routable()), reuseBound, k.service())
	}
	s.host.kill()
	for _, k := range s.killed {
		if k.how == howStatic {
			bound, _ := s.bounds.boundOf(byStock, k.answer())
			s.record.add(k.answer(), bound, k.id())
		}
	}
	return s.occupants.run(s.ctx, Command{Do: commandOpen, Groups: groupsOf(s.killed, (*killedTarget).occupantGroup)})
}

// recordEnd records what must be published after the process of a target was killed. The lease
// of a leased target expires. A static target is NOT_SERVING, since its port is closed.
func (s *reuseSet) recordEnd(id health.ID, how string) {
	if how == howStatic {
		s.record.add(notServing, s.bounds.Refusal, id)
	} else {
		s.record.addUndecided(notRoutable, reuseBound, id)
	}
}

// restartTargets starts the killed targets again. It first kills the occupants if the targets
// need their old addresses.
func (s *reuseSet) restartTargets() error {
	for _, k := range s.killed {
		state := serving
		if !s.moves {
			state = s.recordOccupantEnd(k)
		}
		s.record.addUndecided(state, reuseBack, k.service())
	}
	if !s.moves {
		s.occupants.kill()
	}
	_, err := s.rig.host(groupsOf(s.killed, (*killedTarget).againGroup)...)
	return err
}

// recordOccupantEnd records what must be published after the occupant at the address of a
// target was killed. It returns the state that the service of the target must have in the end.
func (s *reuseSet) recordOccupantEnd(k *killedTarget) State {
	if k.how == howStatic {
		s.recordEnd(k.id(), k.how)
	}
	id, registered := k.occupantID()
	if !registered {
		return serving
	}
	s.recordEnd(id, howFeed)
	return degraded
}
