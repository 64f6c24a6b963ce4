package chaos

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Spec lists the targets that a child process must host. The parent writes the Spec as JSON
// into the first line of the child's stdin.
type Spec struct {
	// Coordinator is the HOST:PORT of the coordinator at which leased targets register.
	Coordinator string
	Groups      []Group
}

// Group describes a number of targets of the same kind, which one child process hosts.
type Group struct {
	// Kind is "ours" for servers of this library, "stock" for standard servers, or the name
	// of a half-implemented health service in stubKinds.
	Kind string
	// Service is the first part of the names of the services. The second part is the number
	// of the service.
	Service string
	// Instance is the first part of the names of the targets. Empty means "i".
	Instance string
	// Targets is the number of targets in the group.
	Targets int
	// Each is the number of targets in one service. 0 means 10.
	Each int
	// PerAddress is the number of targets that share one server. 0 means 1.
	PerAddress int
	// Leased says that the targets register themselves, with a lease.
	Leased bool
	// TTL is the time to live of each lease. 0 means the default of the coordinator.
	TTL time.Duration
	// At has the HOST:PORT of the first servers of the group. All other servers listen on
	// free ports.
	At []string
	// Mute says that the targets are not registered, and that the child does not report
	// their states.
	Mute bool
}

// The values of Group.Kind for targets whose health service is complete.
const (
	kindOurs  = "ours"
	kindStock = "stock"
)

func (g *Group) setDefaults() {
	if g.Each == 0 {
		g.Each = 10
	}
	if g.Instance == "" {
		g.Instance = "i"
	}
	if g.PerAddress == 0 {
		g.PerAddress = 1
	}
}

// id returns the name of the target with the number n, counted from 0.
func (g *Group) id(n int) health.ID {
	return health.ID{Service: fmt.Sprintf("%s-%d", g.Service, n/g.Each), Instance: fmt.Sprintf("%s-%d", g.Instance, n)}
}

// source returns how the coordinator learns the states of the targets of the group.
func (g *Group) source() source {
	switch g.Kind {
	case kindOurs:
		return byReport
	case kindStock:
		return byStock
	}
	return byStub
}

// address returns the HOST:PORT at which the target with the number n listens.
func (g *Group) address(n int) string {
	if server := n / g.PerAddress; server < len(g.At) {
		return g.At[server]
	}
	return anyPort
}

// anyPort is the listen address of a server that may use any free port.
const anyPort = "127.0.0.1:0"

// state returns the true state of the targets of the group when they start.
func (g *Group) state() State {
	if k := stubNamed(g.Kind); k != nil && k.noService {
		return unknown
	}
	return serving
}

// Command is a command for a child process that hosts targets. The parent writes one Command
// as JSON into each line of stdin after the [Spec]. Commands run concurrently. The child
// writes a line when a command is done.
type Command struct {
	// Seq is the number of the command. The child repeats it in the line that says that the
	// command is done.
	Seq int
	// Do says what the child must do: it is a constant such as commandSet. Each value of Do
	// uses some of the other fields.
	Do string
	// IDs are the names of the targets that change. Empty means all targets of the child.
	IDs []string
	// State is the new state of the targets.
	State State
	// Turns is the number of times that each target changes its state within Duration.
	Turns    int
	Duration time.Duration
	// Seed decides the order in which the targets change their states.
	Seed uint64
	// Service is the name of the service for which the child starts new instances.
	Service string
	// Count is the number of new instances.
	Count int
	// Groups describes the new targets that the child starts.
	Groups []Group
}

// The values of Command.Do.
const (
	commandSet     = "set"    // set the states of the targets in IDs to State
	commandFlip    = "storm"  // change the state of each target in IDs Turns times within Duration
	commandRoll    = "roll"   // replace each target of the child by a new one, service by service
	commandGrow    = "grow"   // start Count new instances of Service
	commandStopAll = "shrink" // drain all targets of the child
	commandOpen    = "open"   // start the targets of Groups
)

// A child that hosts targets writes lines to stdout. These are the first words of the lines.
// Another first word is truthWord.
const (
	targetWord = "target" // the line has the fields id, address, name and leased of a hostedTarget
	readyWord  = "ready"  // all targets of the Spec have started
	doneWord   = "done"   // a command is done; the line has Command.Seq and the error text of the command
)
