package core

import (
	"fmt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// MaxCommands is the largest number of commands that wait for the store.
	MaxCommands = 4096
	// MaxCommandBytes is the largest total size of the waiting commands, in bytes.
	MaxCommandBytes = 64 << 20
)

// Command is a change that must be durable before its caller gets an answer. At most one of
// Register, Deregister, Override and Configure is set. A command with none of them changes nothing:
// its caller gets an answer when the waiting records are in the store, or when their commit has
// failed.
type Command struct {
	// Register holds the instances to add or update. The core adds or updates either all of
	// them or none.
	Register   []wire.Registration
	Deregister *Deregistration
	Override   *OverrideChange
	Configure  *Configuration
	// MaxWaiting is the number of waiting commands at which the core refuses this command. 0
	// means MaxCommands.
	MaxWaiting int

	// Err and Specs are the answer to the command. They are valid when Input.Reply is called.
	// Specs has one element for each element of Register.
	Err   error
	Specs []*health.Spec

	events []mesh.Event // events that the mesh gets when the command is durable
	reply  func()       // function that tells the caller that the command is answered; nil if no caller waits
}

// Deregistration is a request to remove one instance.
type Deregistration struct {
	ID health.ID
	// Lease is the lease that the calling process was given. It is 0 if the caller is a person.
	Lease uint64
	// Force lets a person remove an instance whose process still renews its lease.
	Force bool
	By    wire.Registrant
	// Returns is part of the answer. It is true if the name will be registered again, either by
	// the configuration or by the process of the instance.
	Returns bool

	// notRenewed is the lease of the instance if its process had stopped renewing the lease
	// when the command arrived. Otherwise it is 0.
	notRenewed uint64
}

// owns reports whether the caller may remove a registration.
func (d *Deregistration) owns(reg *store.Registration) bool {
	if reg.Registrant == "" {
		return !d.By.OwnOnly || d.Lease != 0 && d.Lease == reg.Lease
	}
	return checkOwner(reg.ID, reg.Registrant, &d.By) == nil
}

// OverrideChange sets the override of a scope, or clears it if Override is nil.
type OverrideChange struct {
	Scope    health.Scope
	Override *health.Override
	// Author is the person who clears the override, and Reason says why. Both are empty if
	// Override is set, because Override has an author and a reason of its own.
	Author, Reason string
}

// Configuration is the list of configured registrations that replaces the earlier list.
type Configuration struct {
	// Registrations are all configured registrations. No name occurs twice.
	Registrations []wire.Registration

	// changed holds the registrations that the configuration changes, by name. A nil value
	// means that the registration is removed.
	changed map[health.ID]*store.Registration
}

// size returns the approximate memory of the command in bytes. The registrations of a
// Configuration do not count, because a configuration must never be refused. The size of
// their file is bounded.
func (c *Command) size() int {
	n := 512
	for i := range c.Register {
		n += sizeOfRegistration(&c.Register[i])
	}
	if o := c.Override; o != nil {
		n += len(o.Scope.String()) + len(o.Author) + len(o.Reason)
		if o.Override != nil {
			n += len(o.Override.Author) + len(o.Override.Reason)
		}
	}
	return n
}

func sizeOfRegistration(r *wire.Registration) int {
	s := &r.Spec
	n := 1024 + len(r.ID.Service) + len(r.ID.Instance) + len(s.Address) + len(s.HealthName) + len(s.Incarnation) +
		len(s.Zone) + len(s.Version) + len(s.ServerName) + len(s.Region) + len(s.Source) + len(s.Traffic.Address)
	for _, name := range s.Traffic.TLSNames {
		n += 32 + len(name)
	}
	for key, value := range s.Labels {
		n += 96 + len(key) + len(value)
	}
	return n
}

// scopes returns the scope of the override that the command changes, or the scopes of the
// instances that the command registers or removes.
func (c *Command) scopes() []health.Scope {
	var scopes []health.Scope
	for i := range c.Register {
		scopes = append(scopes, health.ScopeOf(c.Register[i].ID))
	}
	if c.Deregister != nil {
		scopes = append(scopes, health.ScopeOf(c.Deregister.ID))
	}
	if c.Override != nil {
		scopes = append(scopes, c.Override.Scope)
	}
	return scopes
}

// commandQueue holds the commands that wait for the next batch. The number and the total
// size of the commands are bounded.
type commandQueue struct {
	commands []*Command
	bytes    int
}

// add appends a command to the queue. It returns an error if the queue is full.
func (q *commandQueue) add(c *Command) error {
	limit := c.MaxWaiting
	if limit == 0 {
		limit = MaxCommands
	}
	size := c.size()
	switch {
	case len(q.commands) >= limit:
		return fmt.Errorf("%w: %d registrations and overrides wait for the store; allowed: %d", domain.ErrLimit, len(q.commands), limit)
	case q.bytes+size > MaxCommandBytes:
		return fmt.Errorf("%w: registrations and overrides of %d MiB wait for the store; allowed: %d MiB", domain.ErrLimit, q.bytes>>20, MaxCommandBytes>>20)
	}
	q.commands, q.bytes = append(q.commands, c), q.bytes+size
	return nil
}

// takeCommands removes all commands from the queue and returns them.
func (q *commandQueue) takeCommands() []*Command {
	taken := q.commands
	q.commands, q.bytes = nil, 0
	return taken
}
