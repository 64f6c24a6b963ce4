package chaos

import "github.com/meshhealth/meshhealth/health"

// reuseSet is a set of killed targets that share a process, before and after they are
// killed. Their occupants share another process.
type reuseSet struct {
	*rig
	moves           bool // the targets return at other addresses
	killed          []*killedTarget
	host, occupants *hostProcess
}

func newReuseSet(r *rig, moves bool) *reuseSet {
	return &reuseSet{rig: r, moves: moves, killed: killedTargets(moves)}
}

// openTargets starts the targets and the process of the occupants. The occupants can
// then take the addresses without a delay.
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

// replaceTargets kills the targets and starts the occupants at their addresses.
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

// recordEnd records the truth after the process of a target has ended. The lease of the target
// expires. If the target is static, its port is closed.
func (s *reuseSet) recordEnd(id health.ID, how string) {
	if how == howStatic {
		s.record.add(notServing, s.bounds.Refusal, id)
	} else {
		s.record.addUndecided(notRoutable, reuseBound, id)
	}
}

// restartTargets starts the targets again. If they return to their old addresses, it
// kills the occupants first.
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

// recordOccupantEnd records the truth after the occupant of a target's address has ended. It
// returns the state of the target's service after the target has returned.
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
