package chaos

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Spec tells a child which targets to host. It is the first line of the child's stdin,
// as JSON.
type Spec struct {
	// Coordinator is the address at which leased targets register.
	Coordinator string
	Groups      []Group
}

// Group describes targets of one kind.
type Group struct {
	// Kind is "ours" for servers of this library, "stock" for standard servers, or a
	// name in stubKinds.
	Kind string
	// Service is the name of the services without their number. Instance is the prefix
	// of the instance names; empty means "i".
	Service, Instance string
	// Targets is the number of targets. Each is how many of them one service has; 0
	// means 10.
	Targets, Each int
	// PerAddress is how many targets share a server. 0 means 1.
	PerAddress int
	Leased     bool
	// TTL is the TTL of the leases. 0 means the default.
	TTL time.Duration
	// At are the addresses of the servers, in order. Servers without an address in At
	// use any free port.
	At []string
	// Mute says that the servers are not registered, and that no truth is written about
	// them.
	Mute bool
}

// The values of Group.Kind that are not in stubKinds.
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

// id returns the name of the n-th target.
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

// address returns the address at which the n-th target listens.
func (g *Group) address(n int) string {
	if server := n / g.PerAddress; server < len(g.At) {
		return g.At[server]
	}
	return anyPort
}

// anyPort is the listen address of targets for which At has no address. It means any free
// port.
const anyPort = "127.0.0.1:0"

// state returns the state that the targets of the group have at their start.
func (g *Group) state() State {
	if k := stubNamed(g.Kind); k != nil && k.noService {
		return unknown
	}
	return serving
}

// Command is a line of a child's stdin after the first, as JSON. Commands run
// concurrently. The child answers each when it is done.
type Command struct {
	// Seq is the number of the command. The answer to the command repeats it.
	Seq int
	Do  string
	// IDs are the targets of the command. Empty means all.
	IDs []string
	// State is the new state of the targets, for commandSet.
	State State
	// Turns is how often each target changes, within Duration.
	Turns    int
	Duration time.Duration
	// Count is how many more instances of Service the child starts.
	Service string
	Count   int
	// Groups are opened in addition to the groups of the Spec.
	Groups []Group
}

// The values of Command.Do.
const (
	commandSet     = "set"    // set the targets to State at once
	commandFlip    = "storm"  // change each target Turns times within Duration
	commandRoll    = "roll"   // replace each target by a new one, service by service
	commandGrow    = "grow"   // start Count more instances of Service
	commandStopAll = "shrink" // drain all targets
	commandOpen    = "open"   // open Groups
)

// The first words of the lines of a child's stdout. truthWord is another one.
const (
	targetWord = "target" // a target: its name, address, health name, and whether it is leased
	readyWord  = "ready"  // all groups of the Spec are open
	doneWord   = "done"   // a command is done; the line has its Seq and the error text
)
