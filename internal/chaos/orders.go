package chaos

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Spec is what a child is to host. It is the first line of its stdin.
type Spec struct {
	// Coordinator is where leased targets register.
	Coordinator string
	Groups      []Group
}

// Group is some targets of one kind.
type Group struct {
	// Kind is ours, for servers of this library, or stock.
	Kind string
	// Service is the name of the first service, but for a number.
	Service string
	// Targets is how many, Each how many of them one service has; 0 means 10.
	Targets, Each int
	// PerAddress is how many share a server; 0 means one has one.
	PerAddress int
	// Leased targets register themselves.
	Leased bool
	// TTL is that of their leases; 0 means the default.
	TTL time.Duration
}

// The kinds of a Group.
const (
	kindOurs  = "ours"
	kindStock = "stock"
)

func (g *Group) setDefaults() {
	if g.Each == 0 {
		g.Each = 10
	}
	if g.PerAddress == 0 {
		g.PerAddress = 1
	}
}

// id names the n-th target.
func (g *Group) id(n int) health.ID {
	return health.ID{Service: fmt.Sprintf("%s-%d", g.Service, n/g.Each), Instance: fmt.Sprintf("i-%d", n)}
}

// way is how the coordinator learns what its targets say.
func (g *Group) way() way {
	if g.Kind == kindStock {
		return byStock
	}
	return byReport
}

// Order is a line of a child's stdin after the first. Orders are carried out side
// by side; each is answered when it is done.
type Order struct {
	// Seq is repeated in the answer.
	Seq int
	Do  string
	// IDs are whom it is about; none means all.
	IDs []string
	// State is what to become.
	State State
	// Turns is how often each target changes, Over in what time.
	Turns int
	Over  time.Duration
	// Service, Count: how many instances a service is to get.
	Service string
	Count   int
}

// What an Order may be.
const (
	doSet    = "set"    // State, at once
	doStorm  = "storm"  // Turns over Over
	doRoll   = "roll"   // replace each target by a new one, service by service
	doGrow   = "grow"   // start Count more of Service
	doShrink = "shrink" // all leave
)

// Lines of a child's stdout, beside those of truth.
const (
	targetWord = "target" // name, address, health name, leased or static
	readyWord  = "ready"  // what the Spec asks for is there
	doneWord   = "done"   // an Order is: its Seq, and in words what went wrong
)
