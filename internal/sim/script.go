package sim

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Script describes a mesh and the steps that happen to it.
type Script struct {
	Setup
	Steps []Step // in the order of their times
}

// Setup describes the mesh at the begin of a script.
type Setup struct {
	Seed     uint64
	LogBytes int // bytes that the log of the feed keeps
	// Start bounds the time from the start of a process until its first checks have
	// run. 0 means 3 s.
	Start    time.Duration
	Policy   health.MeshPolicy
	Services []Service
}

// Service describes one service of the mesh.
type Service struct {
	Name      string
	Instances int // number of instances that the steps can start
	Zones     int // number of zones that have its instances; 0 means that they have no zone
	Source    health.Source
	Static    bool
	Policy    health.ServicePolicy
}

// instance returns the name of the instance with number n.
func (v *Service) instance(n int) string { return fmt.Sprint(v.Name, "/", n) }

// Step is one thing that happens at a time of the script.
type Step struct {
	At     time.Duration // time since the begin of the script
	Op     Op
	Who    string        // an instance, a service or a zone; empty means the coordinator or the mesh
	Status health.Status // used as the constant of Op says
	For    time.Duration // used as the constant of Op says
	N      int           // used as the constant of Op says
}

// Op is the kind of a step.
type Op string

// Steps about the instance whose name is in Who.
const (
	OpAdd      Op = "add"      // the process of the instance starts and registers
	OpKill     Op = "kill"     // the process of the instance dies
	OpStop     Op = "stop"     // the process of the instance drains for the time For, deregisters and ends
	OpSay      Op = "say"      // the process of the instance reports Status
	OpCut      Op = "cut"      // the coordinator cannot reach the instance, but the instance can reach the coordinator
	OpIsolate  Op = "isolate"  // neither the instance nor the coordinator can reach the other one
	OpHeal     Op = "heal"     // the faults of the path and of the answers end
	OpDrop     Op = "drop"     // the next N messages from the instance are lost
	OpDelay    Op = "delay"    // the messages of the instance take the time For from now on
	OpConfig   Op = "config"   // the instance answers with a certificate that the coordinator refuses
	OpOverride Op = "override" // a person forces Status for the time For; 0 means without an end
	OpClear    Op = "clear"    // a person clears the override of the instance
	OpRemove   Op = "remove"   // a person deregisters the instance
)

// Steps about the address of an instance. OpHeal undoes them, but it does not end a foreign
// process in place of a dead one.
const (
	OpTake   Op = "take"   // a foreign process answers at the address; N selects its kind
	OpLeave  Op = "leave"  // the foreign process ends
	OpFail   Op = "fail"   // the instance answers calls with an error of its own
	OpGarble Op = "garble" // the instance answers calls with a message that is no answer of a health service
	OpFill   Op = "fill"   // the instance has no room for new calls; if N is not 0, its streams end too
	OpForget Op = "forget" // the stock server of the instance does not know the health name
	OpName   Op = "name"   // the stock server knows the health name again
	OpStub   Op = "stub"   // the Watch of the server does not work, so the coordinator polls the instance
)

// Steps about zones, the coordinator and the oracle.
const (
	OpPart   Op = "part"   // half of the well instances in a zone, plus N more, are isolated
	OpJoin   Op = "join"   // every instance in a zone is healed
	OpPause  Op = "pause"  // the coordinator is suspended for the time For
	OpCrash  Op = "crash"  // the coordinator dies, and starts again after the time For
	OpStall  Op = "stall"  // the store of the coordinator blocks for the time For
	OpWall   Op = "wall"   // the wall clock of the coordinator jumps by the time For
	OpExpect Op = "expect" // from now on a service may only have the statuses whose bits are set in N; see Bits
)

// Bits returns the value of Step.N with which OpExpect allows these statuses.
func Bits(statuses ...health.Status) int {
	n := 0
	for _, s := range statuses {
		n |= 1 << s
	}
	return n
}

// Fault says which published state is wrong or missing.
type Fault struct {
	Rule   string // the broken rule, in one or two words
	At     time.Duration
	Detail string
}

func (f *Fault) Error() string { return fmt.Sprintf("at %v: %s: %s", f.At, f.Rule, f.Detail) }
