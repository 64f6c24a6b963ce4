package demo

import (
	"fmt"
	"time"
)

// step is one action of the story, such as the kill of a process.
type step struct {
	delay  time.Duration // time between the previous step and this step
	verb   verb
	target string // what the verb changes: a service, a zone, an instance, or flagServer
	what   string // what happens, for the user
	look   string // what the user can see
	try    string // arguments of a meshhealth command that shows it; may be empty
}

// verb is what a step does to its target.
type verb int

const (
	slowDown   verb = iota // the backend of a service, or flagServer, answers late
	refuse                 // the backend refuses connections
	repair                 // the backend works again
	cutNetwork             // the network between a zone and the coordinator is cut
	joinNetwork
	freeze // the process of an instance is suspended
	thaw
	kill
	drain
	startAgain // the process of an instance is started again, after its end
)

// flagServer is the target of steps that change the server of the feature flags.
const flagServer = "feature flags"

// firstStep is the time from the start of the mesh to the first step. It is long enough to open the
// page.
const firstStep = 15 * time.Second

// story returns the steps of one round. It has four parts: a root that fails, a guard, a bad
// release, and faults of single processes. At the end of a round everything works again.
func story() []step {
	const second = time.Second
	return []step{
		{
			verb: slowDown, target: "db.primary",
			what: fmt.Sprintf("the storage of db.primary takes %v (limit %v)", slowAnswer, slowLimit),
			look: "db.primary is DEGRADED, and so is each service that needs it",
		},
		{
			delay: 5 * second, verb: refuse, target: "db.primary",
			what: "the storage of db.primary refuses connections",
			look: "db.primary is the root, and the services that need it are its symptoms", try: "explain payments",
		},
		{
			delay: 11 * second, verb: repair, target: "db.primary",
			what: "the storage of db.primary works again",
			look: "the services recover in the order of their dependencies", try: "history --limit 20",
		},
		{
			delay: 10 * second, verb: cutNetwork, target: cutZone,
			what: "the network between " + cutZone + " and the coordinator is cut; its instances still run",
			look: fmt.Sprintf("within %v they are unconfirmed (~), and the guard of the zone holds their status", unreachableAfter),
			try:  "coordinator state",
		},
		{
			delay: 15 * second, verb: joinNetwork, target: cutZone,
			what: "the network of " + cutZone + " works again",
			look: "the instances answer, and the guard releases them",
		},
		{
			delay: 8 * second, verb: slowDown, target: flagServer,
			what: fmt.Sprintf("the feature flags, which only version %s needs, take %v", newVersion, slowAnswer),
			look: "all instances that become DEGRADED have version=" + newVersion, try: "status",
		},
		{
			delay: 8 * second, verb: repair, target: flagServer,
			what: "the feature flags are fast again",
			look: "all services return to SERVING",
		},
		{
			delay: 6 * second, verb: freeze, target: frozenInstance,
			what: "the process of " + frozenInstance + " is frozen (SIGSTOP); its port stays open",
			look: "it becomes unconfirmed (~), and later NOT_SERVING", try: "explain " + frozenInstance,
		},
		{
			delay: 2 * second, verb: kill, target: killedInstance,
			what: "the process of " + killedInstance + " is killed (SIGKILL)",
			look: "its port refuses connections, so that it is NOT_SERVING much sooner",
		},
		{
			delay: 5 * second, verb: startAgain, target: killedInstance,
			what: killedInstance + " is started again",
			look: "the new process takes over the name",
		},
		{
			delay: 3 * second, verb: drain, target: drainedInstance,
			what: drainedInstance + " drains and deregisters",
			look: "DRAINING takes it out of traffic before it leaves", try: "routes sessions",
		},
		{
			delay: 5 * second, verb: startAgain, target: drainedInstance,
			what: drainedInstance + " is started again",
			look: "it registers, and is SERVING after its first checks",
		},
		{
			delay: 3 * second, verb: thaw, target: frozenInstance,
			what: "the process of " + frozenInstance + " continues (SIGCONT)",
			look: "it renews its lease and answers, and is SERVING",
		},
	}
}

// possible reports whether this system can execute the step.
func (s *step) possible() bool { return canFreeze || s.verb != freeze && s.verb != thaw }
