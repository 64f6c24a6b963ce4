package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// world is the simulated truth: which processes run, what they report, and which of
// them can be reached.
type world struct {
	setup     Setup
	now       time.Duration
	agenda    agenda
	services  []*service
	all       []*instance
	named     map[string]*instance
	coord     *coordinator
	oracle    *oracle
	followers followers
	readers   []*reader
	events    int // number of events that the mesh has received
	sessions  uint64
	leases    uint64
	fault     *Fault
	lenient   bool // if true, fail records no faults
}

// service is a service of the setup, with its instances.
type service struct {
	Service
	instances []*instance
}

// instance is one instance of a service: its process, its address, and the
// coordinator's follower of it.
type instance struct {
	service *service
	id      health.ID
	zone    string
	key     uint64 // the seed of the instance's random values
	draws   uint64
	process
	address
	follower
	truth
}

// process is the true state of one instance.
type process struct {
	up          bool
	gen         uint32 // number of starts and ends of the process; a task with an earlier number is ignored
	incarnation uint64
	says        health.Status
	lease       uint64 // the lease that the client of the process believes it has; 0 means none
	registered  bool   // the instance was registered at least once
	pushing     bool
	pushedAt    time.Duration // the last time that the coordinator received a push from the process
	ended       stamp         // the time at which the instance's last process ended

	cut, isolated, misconfigured bool
	drop                         int
	delay                        time.Duration
	// wasWell is the last result of well. since is the last time that wasWell changed.
	wasWell bool
	since   stamp
	// wasDeaf is the last result of deaf. deafSince is the last time that wasDeaf became
	// true.
	wasDeaf   bool
	deafSince time.Duration
}

// address describes what listens at the address of an instance.
type address struct {
	listener  uint32 // a number that rises whenever the listening process changes or its streams break
	other     other
	otherSays health.Status
	sick      sickness
	changed   stamp // the last time that a step of the script changed the address
	unnamed   bool  // the server does not know the health name, and answers SERVING for the empty name
	stub      bool  // the Watch of the server does not work, so the coordinator polls the server
}

// other is the kind of a foreign process that listens at the address of an instance. The
// instance's own process has died, or the address leads to another host.
type other uint8

// sickness is what a process answers to calls instead of a status.
type sickness uint8

// follower is the state of the coordinator's follower of one instance.
type follower struct {
	followed  uint64 // the lease of the followed instance; 0 means that none is followed
	gen       uint32 // number of streams and dials; a task with an earlier number is ignored
	streaming bool
	to        uint32 // address.listener at the time when the stream was opened
	source    health.Source
	session   uint64
	named     bool  // the published state says that the target knew its health name
	behind    bool  // the follower has not received the last status
	closed    stamp // the time at which the last stream ended
	heardAt   time.Duration
	dialedAt  time.Duration
	failures  int
	lastSent  time.Duration // the time at which the last delayed message will arrive
}

// followers has the methods that simulate all followers of the coordinator.
type followers struct{ *world }

// truth is the real state of an instance, from which the Figures are computed. serves means
// that its process is up and reports a routable status. usable means that the coordinator
// can also receive this status.
type truth struct {
	serves, usable           bool
	servesSince, usableSince time.Duration
}

// message is one input of the core, with facts about the input that only the oracle uses.
type message struct {
	in     *instance
	ev     mesh.Event
	gen    uint32        // follower.gen at the time when the message was sent
	own    bool          // the message comes from the registered process itself
	waited bool          // the message reports that a wait which began at since had no answer
	since  time.Duration // the begin of the wait that waited is about; 0 if waited is false
	// reply receives the answer to a renewal. It is nil for all other messages.
	reply func(*core.Renewal)
}

// coordinator runs the real core in place of the owner and the store writer of a registry.
// The script controls the clock and the store of the coordinator.
type coordinator struct {
	w     *world
	clock *clock
	store *store.Memory
	core  *core.Core // the core since the last start
	feed  *feed.Feed // the feed since the last start
	up    bool
	epoch uint64
	upAt  time.Duration // the time of the next start, if up is false
	// startedAt is the time of the last start.
	startedAt stamp

	inbox       []message
	inputs      []core.Input // inputs of the present Step; the first ones are made from stepping, in its order
	stepping    []message
	applied     int // index in stepping of the last message that the mesh has received
	wakeAt, due time.Duration
	pausedUntil time.Duration
	forgivenAt  time.Duration
	lates       []lateness // the last mostLates values of lateness, the oldest first
	spins       int        // number of successive Steps that the core asked for and that had no inputs

	calls        []*call         // calls without an answer, the oldest first
	called       int             // number of calls, from the first one, that the core has received
	operation    *core.Operation // operation on the store that is not carried out yet; nil if there is none
	result       *core.Result    // result of the last operation, which is an input of the next Step; nil if there is none
	stalledUntil time.Duration
}

// lateness records one late Step: at is the time of the Step, and late is its delay.
type lateness struct{ at, late time.Duration }

// call is a command that a client or a person sends to the coordinator.
type call struct {
	core.Command
	in       *instance
	process  uint64 // incarnation of the process that registers; 0 for other commands
	answered bool
}

// reader reads the coordinator's feed at its own pace. It checks that the feed keeps the
// promises of package feed.
type reader struct {
	name     string
	interest feed.Interest
	audience feed.Audience
	every    time.Duration // time between two reads; 0 means that it reads after every Step
	resumes  bool          // each read uses a new feed reader that resumes at cursor

	from   *feed.Feed
	reads  *feed.Reader
	cursor feed.Cursor
	known  map[health.ID]uint64
	lookAt time.Duration
	// compareAt is the time of the next comparison of known with all published entries.
	compareAt time.Duration
	placed    bool // the reader has received a snapshot from its present feed
}

// Figures measures how well the published statuses agree with the truth.
type Figures struct {
	Transitions int // number of status changes of instances
	// FalseDown counts how often an instance that was up and reported a routable status
	// was published as not routable. The causes STARTING and FLAPPING do not count.
	FalseDown int
	// Detected has the time for which each dead instance stayed published as routable.
	// Held has the time for which each usable instance was published as not routable.
	Detected, Held []time.Duration
	// ServiceDown counts how often a service was published as NOT_SERVING although more
	// than half of its instances were up and reported a routable status.
	ServiceDown int
}

// fail records a fault, unless an earlier fault is recorded or the world is lenient.
func (w *world) fail(rule, format string, args ...any) {
	if w.fault == nil && !w.lenient {
		w.fault = &Fault{Rule: rule, At: w.now, Detail: fmt.Sprintf(format, args...)}
	}
}

// plan adds a task about an instance to the agenda. The parameter after is the time from now
// until the task is due.
func (w *world) plan(in *instance, kind taskKind, gen uint32, after time.Duration) {
	w.agenda.push(task{at: w.now + after, kind: kind, gen: gen, in: in})
}

// hash returns the 64-bit FNV-1a hash of s.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix returns the number that the generator splitmix64 computes from the state x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// noise returns a random time below most. The time depends only on key and on the number
// of earlier calls for the same instance.
func (in *instance) noise(most time.Duration) time.Duration {
	in.draws++
	return time.Duration(mix(in.key+in.draws) % uint64(most))
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (c *coordinator) mesh() *mesh.Mesh { return c.core.Mesh() }

// deaf reports whether a broken path keeps all messages of the instance from its follower.
func (in *instance) deaf() bool { return in.cut || in.isolated }

func stock(s health.Source) bool { return s == health.SourceWatch || s == health.SourcePoll }

// storedLease returns the lease of an instance in the store, or 0 if the store has none.
func (c *coordinator) storedLease(id health.ID) uint64 {
	state, err := c.store.Lookup(context.Background(), []health.ID{id})
	if err != nil || len(state.Registrations) == 0 {
		return 0
	}
	return state.Registrations[0].Lease
}

// isAlone reports whether no other call about the instance of cl waits for an answer, or
// is answered by the same Step.
func (c *coordinator) isAlone(cl *call) bool {
	for _, other := range c.calls {
		if other != cl && other.in == cl.in {
			return false
		}
	}
	return true
}

// deliver adds a message to the inbox if the coordinator is up, and drops it otherwise.
func (c *coordinator) deliver(m message) {
	if c.up {
		c.inbox = append(c.inbox, m)
		c.wakeAt = min(c.wakeAt, c.w.now+lag)
	}
}

// forgives returns the time by which a follower extends its limit for a silence that began
// at since. It is the sum of the coordinator's lateness from since on. It is not more than
// limit, or than the longest single lateness if that is longer.
func (c *coordinator) forgives(since, limit time.Duration) time.Duration {
	all, single := time.Duration(0), time.Duration(0)
	for _, l := range c.lates {
		if late := min(l.late, l.at-since); late > 0 {
			all, single = all+late, max(single, late)
		}
	}
	return min(all, max(limit, single))
}

// secret is the reason in all reports and overrides. Readers with the public audience must
// not receive it.
const secret = "secret"
