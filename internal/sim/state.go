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

// world is everything that a script simulates. It has the truth about all instances: which
// processes run, what they report, and whether the coordinator can reach them.
type world struct {
	setup     Setup
	now       time.Duration // time since the begin of the script
	agenda    agenda
	services  []*service
	all       []*instance
	named     map[string]*instance // all instances, by their names SERVICE/INSTANCE
	coord     *coordinator
	oracle    *oracle
	followers followers
	readers   []*reader
	events    int    // number of events that the mesh has received
	sessions  uint64 // number of streams that followers have opened
	leases    uint64 // number of leases that the coordinator has granted
	fault     *Fault // the first fault; nil if there is none
	lenient   bool   // if true, faults are ignored
}

// service is one service of the simulated mesh, with its instances.
type service struct {
	Service
	instances []*instance
}

// instance is one instance of a service: its process, the server at its address, and the
// follower with which the coordinator follows the instance.
type instance struct {
	service *service
	id      health.ID
	zone    string
	key     uint64 // seed of the random values of the instance
	draws   uint64 // number of random values that were drawn so far
	process
	address
	follower
	truth
}

// process is the true state of an instance: its process, its client, and the network between
// the instance and the coordinator.
type process struct {
	up          bool
	gen         uint32 // number of starts and ends of the process; a task that was planned when the number was smaller is ignored
	incarnation uint64
	says        health.Status // the status that the process reports
	lease       uint64        // the lease that the client believes it has; 0 means none
	registered  bool          // true if the instance was registered at least once
	pushing     bool          // true while the client has a push stream
	pushedAt    time.Duration // the last time that the client sent a heartbeat on its push stream
	ended       stamp         // the time at which the last process of the instance ended

	cut           bool          // the coordinator cannot reach the instance
	isolated      bool          // the instance and the coordinator cannot reach each other
	misconfigured bool          // the coordinator refuses the certificate of the instance
	drop          int           // number of messages from the instance that the network will lose
	delay         time.Duration // time that each message from the instance takes

	wasWell   bool          // true if the coordinator could receive the right status at the last call of noteReach
	since     stamp         // the last time that wasWell changed
	wasDeaf   bool          // true if the network dropped all messages at the last call of noteReach
	deafSince time.Duration // the last time that wasDeaf became true
}

// address describes the process that listens at the address of an instance, and its answers.
type address struct {
	listener  uint32        // a number that rises when another process begins to listen, or when all streams to the process break
	other     otherKind     // the foreign process that listens; nobody if there is none
	otherSays health.Status // the status that the foreign process reports
	sick      sickness      // the wrong way in which the instance's own process answers calls
	changed   stamp         // the last time that a step of the script changed the address or its answers
	unnamed   bool          // true if the server does not know the name that health calls use, and answers SERVING for the empty name
	stub      bool          // true if the Watch of the server does not work, so that the coordinator polls it
}

// otherKind is the kind of a foreign process that listens at the address of an instance. This
// happens if the instance's own process has died, or if the address leads to another host.
type otherKind uint8

// sickness is the kind of answer that a process gives to health calls instead of a status.
type sickness uint8

// follower is the state of the coordinator's follower of one instance.
type follower struct {
	followed  uint64        // the lease of the followed instance; 0 means that no instance is followed
	gen       uint32        // number of resets; a task that was planned when the number was smaller is ignored
	streaming bool          // true while the follower has a stream or polls
	to        uint32        // the value of address.listener when the follower opened the stream
	source    health.Source // how the follower learns the status
	session   uint64        // number of the stream
	named     bool          // true if the published state says that the server has known the name that health calls to it use
	behind    bool          // true if the follower has not received the last status that the process reported
	closed    stamp         // the time at which the last stream ended
	heardAt   time.Duration // the last time that the follower received a message
	dialedAt  time.Duration // the begin of the last dial
	failures  int           // number of failed dials since the last stream
	lastSent  time.Duration // the time at which the last delayed message will arrive
}

// followers has the methods that simulate the followers of all instances.
type followers struct{ *world }

// truth is the true state of an instance, as [Figures] needs it.
type truth struct {
	serves      bool          // true if the process is up and reports a routable status
	usable      bool          // true if serves is true and the coordinator can receive this status
	servesSince time.Duration // the last time that serves changed
	usableSince time.Duration // the last time that usable changed
}

// message is one input of the core, with facts about the input that only the oracle uses.
type message struct {
	in     *instance
	ev     mesh.Event
	gen    uint32        // the value of follower.gen when the message was sent
	own    bool          // true if the message comes from the registered process itself
	waited bool          // true if the message reports a wait without an answer
	since  time.Duration // the begin of the wait without an answer; 0 if waited is false
	// reply receives the answer to a renewal. It is nil for all other messages.
	reply func(*core.Renewal)
}

// coordinator is the simulated coordinator. It drives the real core as the owner and the store
// writer of a registry do. The script controls its clock and its store.
type coordinator struct {
	w     *world
	clock *clock
	store *store.Memory
	core  *core.Core // the real core, made at the last start of the coordinator
	feed  *feed.Feed // the real feed, made at the last start of the coordinator
	up    bool
	epoch uint64
	upAt  time.Duration // the time of the next start, if up is false
	// startedAt is the time of the last start of the coordinator.
	startedAt stamp

	inbox       []message     // messages for the next call of core.Step
	inputs      []core.Input  // inputs of the present call of core.Step; the first inputs are the messages in stepping, in the same order
	stepping    []message     // messages that the present call of core.Step receives
	applied     int           // index in the field stepping of the last message that the mesh has received
	wakeAt      time.Duration // the time of the next call of core.Step
	due         time.Duration // the time of the next call of core.Step if no input comes before
	pausedUntil time.Duration // the end of the last pause
	forgivenAt  time.Duration // the last time that the core forgave lateness
	lates       []lateness    // the last late calls of core.Step, the oldest first; their number is at most the constant mostLates
	spins       int           // number of calls of core.Step in a row that the core has asked for and that had no input; many such calls mean a busy loop

	calls        []*call         // commands without a reply, the oldest first
	called       int             // number of elements of calls, from the first one, that the core has already received
	operation    *core.Operation // store operation that still must be carried out; nil if there is none
	result       *core.Result    // result of the last store operation, for the next call of core.Step; nil if there is none
	stalledUntil time.Duration   // the time until which the store blocks
}

// lateness describes one late call of core.Step. at is the time of the call, and late is the
// duration by which the call was late.
type lateness struct{ at, late time.Duration }

// call is a command that a client or a person sends to the coordinator.
type call struct {
	core.Command
	in       *instance
	process  uint64 // incarnation of the process that registers; 0 if the command is no registration
	answered bool   // true when the coordinator has replied
}

// reader reads the coordinator's feed at its own pace. It checks that no change is missing,
// and that changes come in order.
type reader struct {
	name     string
	interest feed.Interest
	audience feed.Audience
	every    time.Duration // time between two reads; 0 means one read after every call of core.Step
	resumes  bool          // if true, each read uses a new feed.Reader that resumes at cursor

	from   *feed.Feed
	reads  *feed.Reader
	cursor feed.Cursor          // position after the last read
	known  map[health.ID]uint64 // revisions of the entries that the reader has received
	lookAt time.Duration        // the time of the next read
	// compareAt is the time of the next comparison between the field known and all published
	// entries.
	compareAt time.Duration
	placed    bool // true if the reader has received a snapshot from its present feed
}

// Figures measures how well the published statuses agree with the truth.
type Figures struct {
	Transitions int // number of published status changes of instances
	// FalseDown is how often an instance was published as not routable although its
	// process reported a routable status. The causes STARTING and FLAPPING do not count.
	FalseDown int
	// Detected has, for each instance that died, the time from its death until it was
	// published as not routable.
	Detected []time.Duration
	// Held has, for each instance that became routable, the time from this moment until it was
	// published as routable.
	Held []time.Duration
	// ServiceDown is how often a service was published as NOT_SERVING although the
	// processes of more than half of its instances reported a routable status.
	ServiceDown int
}

// fail records the first fault of a script. It ignores all later faults, and all faults if
// w.lenient is set.
func (w *world) fail(rule, format string, args ...any) {
	if w.fault == nil && !w.lenient {
		w.fault = &Fault{Rule: rule, At: w.now, Detail: fmt.Sprintf(format, args...)}
	}
}

// plan adds a task about an instance to the agenda. The task is due after the duration delay.
// gen is the present process.gen for tasks of the process, and follower.gen for tasks of the
// follower.
func (w *world) plan(in *instance, kind taskKind, gen uint32, delay time.Duration) {
	w.agenda.push(task{at: w.now + delay, kind: kind, gen: gen, in: in})
}

// hash returns the 64-bit FNV-1a hash of s.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix returns a pseudo-random number that depends only on x. It is one step of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// noise returns a random duration below limit. The duration depends only on in.key and on the
// number of earlier calls for the same instance.
func (in *instance) noise(limit time.Duration) time.Duration {
	in.draws++
	return time.Duration(mix(in.key+in.draws) % uint64(limit))
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (c *coordinator) mesh() *mesh.Mesh { return c.core.Mesh() }

// deaf reports whether the network drops all messages between the instance and its follower.
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

// isAlone reports whether cl is the only command about its instance. Commands count while they
// wait for a reply, and until the end of the call of core.Step that replies.
func (c *coordinator) isAlone(cl *call) bool {
	for _, other := range c.calls {
		if other != cl && other.in == cl.in {
			return false
		}
	}
	return true
}

// deliver adds a message to the inbox of the coordinator. If the coordinator is down, the
// message is lost.
func (c *coordinator) deliver(m message) {
	if c.up {
		c.inbox = append(c.inbox, m)
		c.wakeAt = min(c.wakeAt, c.w.now+lag)
	}
}

// forgives returns by how much a follower extends its wait for a message. The wait began at the
// time since, and its usual length is limit. The result is the lateness of the coordinator
// during the wait. It is at most `limit` or the longest single lateness, whichever is longer.
func (c *coordinator) forgives(since, limit time.Duration) time.Duration {
	all, single := time.Duration(0), time.Duration(0)
	for _, l := range c.lates {
		if late := min(l.late, l.at-since); late > 0 {
			all, single = all+late, max(single, late)
		}
	}
	return min(all, max(limit, single))
}

// secret is the text of the reason in all reports and overrides in scripts. Readers with the public
// audience must not receive it.
const secret = "secret"
