package chaos

import "github.com/meshhealth/meshhealth/health"

// reuseSet is a set of targets of the scenario "reuse" that are killed together, since one
// process hosts them. A second process hosts the occupants: the servers that take the
// addresses of the killed targets.
type reuseSet struct {
	*rig
	moves     bool // true if the killed targets are started again at other addresses
	killed    []*killedTarget
	host      *hostProcess // the process that hosts the targets in killed
	occupants *hostProcess // the process of the servers that take the addresses of the killed targets
}

func newReuseSet(r *rig, moves bool) *reuseSet {
	return &reuseSet{rig: r, moves: moves, killed: killedTargets(moves)}
}

// openTargets starts the targets. It also starts the process that will host the occupants, the
// servers that take the addresses of killed targets. So these servers can later start at once.
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

// replaceTargets kills the targets, and starts other servers at the addresses of the targets.
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

// recordEnd records the state that must be published after the process of a target was killed. The
// lease of a leased target expires. A static target is NOT_SERVING, since its port is closed.
func (s *reuseSet) recordEnd(id health.ID, how string) {
	if how == howStatic {
		s.record.add(notServing, s.bounds.Refusal, id)
	} else {
		s.record.addUndecided(notRoutable, reuseBound, id)
	}
}

// restartTargets starts the killed targets again. If the targets need their old addresses, it first
// kills the servers that have taken these addresses.
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

// recordOccupantEnd is called before the server is killed that has taken the address of k. It
// records the states that must be published after that, and returns the final state of the service
// of k.
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
