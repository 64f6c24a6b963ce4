package sim

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Script describes a mesh and the steps that change it, such as the death of a process.
type Script struct {
	Setup
	Steps []Step // all steps, sorted by the field At
}

// Setup describes the mesh of a script before its first step.
type Setup struct {
	Seed     uint64
	LogBytes int // number of bytes that the log of the feed keeps
	// Start plus 100 ms is the longest time from the start of a process to its first report
	// of SERVING. A Start of 0 means 3 s.
	Start    time.Duration
	Policy   health.MeshPolicy
	Services []Service
}

// Service describes one service in the mesh of a script.
type Service struct {
	Name      string
	Instances int // number of instances; none runs before a step starts it
	Zones     int // number of zones over which the instances are spread; 0 means that they have no zone
	Source    health.Source
	Static    bool
	Policy    health.ServicePolicy
}

// instance returns the name of the instance with the number n, counted from 0.
func (v *Service) instance(n int) string { return fmt.Sprint(v.Name, "/", n) }

// Step is one thing that happens to the mesh at a time of the script. The comment of each Op
// describes the meaning of Status, For and N.
type Step struct {
	At     time.Duration // time since the begin of the script
	Op     Op            // what happens
	Who    string        // name of an instance, a service or a zone; empty means the coordinator or the mesh
	Status health.Status // the status that some Ops need
	For    time.Duration // the duration that some Ops need
	N      int           // the number that some Ops need
}

// Op says what a [Step] does.
type Op string

// Steps about one instance. The field Who of the Step has the name of the instance.
const (
	OpAdd      Op = "add"      // the process of the instance starts and registers
	OpKill     Op = "kill"     // the process of the instance dies
	OpStop     Op = "stop"     // the process of the instance drains for the time For, deregisters and ends
	OpSay      Op = "say"      // the process of the instance reports Status
	OpCut      Op = "cut"      // the coordinator cannot reach the instance, but the instance can reach the coordinator
	OpIsolate  Op = "isolate"  // neither the instance nor the coordinator can reach the other one
	OpHeal     Op = "heal"     // the network to the instance works again, and the instance answers correctly
	OpDrop     Op = "drop"     // the network loses the next N messages from the instance
	OpDelay    Op = "delay"    // from now on each message of the instance arrives late by the time For
	OpConfig   Op = "config"   // the instance answers with a certificate that the coordinator refuses
	OpOverride Op = "override" // a person forces Status for the time For; 0 means without an end
	OpClear    Op = "clear"    // a person clears the override of the instance
	OpRemove   Op = "remove"   // a person deregisters the instance
)

// Steps about the process that listens at the address of an instance, and about its answers.
// OpHeal undoes these steps, but it ends a foreign process only if the instance's own process
// is running.
const (
	OpTake   Op = "take"   // a foreign process answers at the address of the instance; N selects its kind
	OpLeave  Op = "leave"  // the foreign process at the address of the instance ends
	OpFail   Op = "fail"   // the instance answers health calls with an error
	OpGarble Op = "garble" // the instance answers health calls with an invalid message
	OpFill   Op = "fill"   // the instance has no room for new calls; if N is not 0, its streams end too
	OpForget Op = "forget" // the stock server of the instance does not know the name in health calls any more
	OpName   Op = "name"   // the stock server of the instance knows the name in health calls again
	OpStub   Op = "stub"   // the Watch of the instance does not work any more, so the coordinator polls it
)

// Steps about zones, the coordinator and the oracle.
const (
	OpPart   Op = "part"   // half of the healthy instances in a zone, plus N more, are isolated
	OpJoin   Op = "join"   // every instance in a zone is healed, as by OpHeal
	OpPause  Op = "pause"  // the coordinator is suspended for the time For
	OpCrash  Op = "crash"  // the coordinator dies, and starts again after the time For
	OpStall  Op = "stall"  // the store of the coordinator blocks for the time For
	OpWall   Op = "wall"   // the wall clock of the coordinator jumps by the time For
	OpExpect Op = "expect" // from now on only the statuses in N are right for the service; N is a result of Bits
)

// Bits returns the value of Step.N with which [OpExpect] allows exactly these statuses.
func Bits(statuses ...health.Status) int {
	n := 0
	for _, s := range statuses {
		n |= 1 << s
	}
	return n
}

// Fault is an error that describes which published state is wrong or missing.
type Fault struct {
	Rule   string        // name of the rule that was broken, in one or two words
	At     time.Duration // time since the begin of the script
	Detail string        // the published state and the expected one
}

func (f *Fault) Error() string { return fmt.Sprintf("at %v: %s: %s", f.At, f.Rule, f.Detail) }
