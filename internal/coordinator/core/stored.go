package core

import (
	"maps"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// stored holds the core's copy of the records in the store, and the registrations of the
// configuration.
type stored struct {
	registrations map[health.ID]store.Registration
	registrants   map[string]int // number of registrations by the identity that has registered them
	// overrides holds the stored overrides. The overrides must not be changed, because drafts and
	// events share them.
	overrides map[health.Scope]*health.Override
	// configured holds the registrations of the configuration, by name.
	configured map[health.ID]wire.Registration
	// unsaved holds registrations that the configuration has changed and that the store does not
	// hold yet, by name. A nil value means that the registration was removed. Unsaved changes are
	// already in effect.
	unsaved map[health.ID]*store.Registration
}

func newStored() stored {
	return stored{
		registrations: map[health.ID]store.Registration{}, registrants: map[string]int{}, overrides: map[health.Scope]*health.Override{},
		unsaved: map[health.ID]*store.Registration{},
	}
}

// adoptRegistrations updates s.registrations after a commit. committed holds the registrations that
// the commit has written, by name. A nil value means that the commit has removed the registration.
func (s *stored) adoptRegistrations(committed map[health.ID]*store.Registration) {
	for id, reg := range committed {
		s.setRegistration(id, reg)
	}
}

// setRegistration replaces the registration of an instance; nil removes it.
func (s *stored) setRegistration(id health.ID, reg *store.Registration) {
	if old, ok := s.registrations[id]; ok {
		if s.registrants[old.Registrant]--; s.registrants[old.Registrant] == 0 {
			delete(s.registrants, old.Registrant)
		}
	}
	if reg == nil {
		delete(s.registrations, id)
		return
	}
	s.registrations[id] = *reg
	s.registrants[reg.Registrant]++
}

// adoptOverrides updates s.overrides after a commit. committed holds the overrides that the commit
// has written, by scope. A nil value means that the commit has removed the override.
func (s *stored) adoptOverrides(committed map[health.Scope]*health.Override) {
	for scope, o := range committed {
		if o == nil {
			delete(s.overrides, scope)
			continue
		}
		s.overrides[scope] = o
	}
}

// keepUnsaved adds to s.unsaved the changes of configured registrations that a failed commit has
// not stored.
func (s *stored) keepUnsaved(changes map[health.ID]*store.Registration) {
	maps.Copy(s.unsaved, changes)
}

// dropUnsaved removes changes from s.unsaved, because the store holds them. If s.unsaved has a
// newer change of the same name, the newer change stays.
func (s *stored) dropUnsaved(changes map[health.ID]*store.Registration) {
	for id, reg := range changes {
		if s.unsaved[id] == reg {
			delete(s.unsaved, id)
		}
	}
}
