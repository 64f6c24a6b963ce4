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
	// overrides holds the stored overrides. An override is never changed in place, because
	// the mesh and the drafts share it.
	overrides map[health.Scope]*health.Override
	// configured holds the registrations of the configuration, by name.
	configured map[health.ID]wire.Registration
	// unsaved holds the changes by the configuration that are in effect and that the
	// store does not hold yet, by name. A nil value means that the instance was removed.
	unsaved map[health.ID]*store.Registration
}

func newStored() stored {
	return stored{
		registrations: map[health.ID]store.Registration{}, overrides: map[health.Scope]*health.Override{},
		unsaved: map[health.ID]*store.Registration{},
	}
}

// adoptRegistrations updates the copy with the registrations that a commit has written.
// A nil value means that the commit has removed the registration.
func (s *stored) adoptRegistrations(made map[health.ID]*store.Registration) {
	for id, reg := range made {
		if reg == nil {
			delete(s.registrations, id)
			continue
		}
		s.registrations[id] = *reg
	}
}

// adoptOverrides updates the copy with the overrides that a commit has written. A nil
// value means that the commit has removed the override.
func (s *stored) adoptOverrides(made map[health.Scope]*health.Override) {
	for scope, o := range made {
		if o == nil {
			delete(s.overrides, scope)
			continue
		}
		s.overrides[scope] = o
	}
}

// keepUnsaved keeps the configured changes of a commit that failed.
func (s *stored) keepUnsaved(changes map[health.ID]*store.Registration) {
	maps.Copy(s.unsaved, changes)
}

// dropUnsaved removes changes from unsaved after the store has made them. It keeps a
// change that has replaced one of them since.
func (s *stored) dropUnsaved(changes map[health.ID]*store.Registration) {
	for id, reg := range changes {
		if s.unsaved[id] == reg {
			delete(s.unsaved, id)
		}
	}
}
