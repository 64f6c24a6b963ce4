package sim

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Script is one history: a mesh, and what happens to it.
type Script struct {
	Setup
	Steps []Step // in the order of their times
}

// Setup is what a script begins with.
type Setup struct {
	Seed     uint64
	LogBytes int // of the feed
	// Start is how long a process takes at most until its first checks have run;
	// 0: 3 s.
	Start    time.Duration
	Policy   health.MeshPolicy
	Services []Service
}

// Service is a service and how many instances it may have at most.
type Service struct {
	Name      string
	Instances int
	Zones     int // its instances are dealt out to so many; 0: none
	Source    health.Source
	Static    bool
	Policy    health.ServicePolicy
}

// Step is one thing that happens.
type Step struct {
	At     time.Duration
	Op     Op
	Who    string // an instance, a service, a zone; empty: the coordinator, the mesh
	Status health.Status
	For    time.Duration
	N      int
}

// Op is what a step does.
type Op string

// What happens to an instance (Who).
const (
	OpAdd      Op = "add"      // its process starts, and registers
	OpKill     Op = "kill"     // its process dies
	OpStop     Op = "stop"     // it drains For so long, deregisters and ends
	OpSay      Op = "say"      // its process says Status of itself
	OpCut      Op = "cut"      // we cannot reach it; it can reach us
	OpIsolate  Op = "isolate"  // neither reaches the other
	OpHeal     Op = "heal"     // both do again
	OpDrop     Op = "drop"     // the next N messages from it are lost
	OpDelay    Op = "delay"    // what it sends takes For from now on
	OpConfig   Op = "config"   // it answers with a certificate we refuse
	OpOverride Op = "override" // a person forces Status; For 0: for ever
	OpClear    Op = "clear"    // and ends that
	OpRemove   Op = "remove"   // a person deregisters it
)

// What happens to many, to the coordinator, or to who judges the judgement.
const (
	OpPart   Op = "part"   // half of those that are well in a zone, and N more, are isolated
	OpJoin   Op = "join"   // all in a zone are healed
	OpPause  Op = "pause"  // the coordinator stands still For so long
	OpCrash  Op = "crash"  // the coordinator dies, and starts again after For
	OpStall  Op = "stall"  // its store takes nothing For so long
	OpWall   Op = "wall"   // its wall clock jumps by For
	OpExpect Op = "expect" // from now on a service is nothing but what N's bits say
)

// Bits returns the N of OpExpect for these statuses.
func Bits(statuses ...health.Status) int {
	n := 0
	for _, s := range statuses {
		n |= 1 << s
	}
	return n
}

// Fault is what was published, or was not, against the truth.
type Fault struct {
	Rule   string // which promise was broken, in a word or two
	At     time.Duration
	Detail string
}

func (f *Fault) Error() string { return fmt.Sprintf("at %v: %s: %s", f.At, f.Rule, f.Detail) }
