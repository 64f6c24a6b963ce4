package mesh

import (
	"net/netip"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds of events. Each kind uses the fields ID and Lease of Event. The comment of each kind
// names the other fields of Event that the kind uses.
const (
	// EventRegister adds or updates an instance. If the lease is new, a new instance replaces
	// the instance of the same name. The new one is STARTING, and evidence with the old lease is
	// dropped. EventRegister uses the field Spec.
	EventRegister EventKind = iota + 1
	// EventLoad adds an instance that was loaded from the store. It uses the fields Spec
	// and Loaded.
	EventLoad
	// EventDeregister removes an instance.
	EventDeregister
	// EventReport is a status of the instance: an answer from its address, or a push. A status that
	// certainly comes from the registered process renews the lease. EventReport uses the fields
	// Report, Session and Proven.
	EventReport
	// EventAlive is an answer that confirms the last status. An answer that certainly comes from
	// the registered process renews the lease. EventAlive uses the fields Session and Proven.
	EventAlive
	// EventRenew is a renewal of the lease by the client. It shows that the process lives,
	// but not that the coordinator can reach the instance.
	EventRenew
	// EventFailed is an error with which the target has answered. Two such answers, at least a
	// second apart, make the instance NOT_SERVING. EventFailed uses the fields Report.Source,
	// Report.Via and Reason.
	EventFailed
	// EventMalformed is an answer that is not valid gRPC, or not of a health protocol. Two
	// such answers, at least a second apart, make the instance UNKNOWN. EventMalformed uses the
	// fields Cause and Reason.
	EventMalformed
	// EventQuota means that the target refused a call because a limit was reached. If this
	// lasts for UnreachableAfter, the instance is UNKNOWN. EventQuota uses the field Reason.
	EventQuota
	// EventStranger is an answer that certainly came from a process other than the registered
	// process. The status does not become worse. EventStranger uses the field Reason.
	EventStranger
	// EventRefused means that a connection was refused with ECONNREFUSED. It uses the field
	// Reason.
	EventRefused
	// EventPath is a failure on the way to the instance: a time-out, no route, an error of
	// DNS, or missing heartbeats. EventPath uses the fields Reason and Late.
	EventPath
	// EventConfig is an answer that shows a wrong configuration, such as missing permissions.
	// EventConfig uses the fields Cause and Reason.
	EventConfig
	// EventPushed reports that the instance has opened or closed a stream on which it pushes
	// its status. EventPushed uses the fields On and Peer.
	EventPushed
	// EventOverride sets an override for all instances that a scope matches, also for instances
	// that register later. If the field Override is nil, EventOverride clears the override of the
	// scope. EventOverride uses the fields Scope and Override, but not ID and Lease.
	EventOverride
	// EventOwnFault means that the coordinator could not call the instance, because the
	// coordinator lacked a resource such as file descriptors. If this happens for several
	// addresses, the result of Mesh.Score rises. EventOwnFault uses the field Reason.
	EventOwnFault
	// EventNotAsked means that the coordinator has not called the instance for so long that
	// the last status may be wrong. The status is unconfirmed until the next answer, but does
	// not become worse. EventNotAsked uses the field Reason.
	EventNotAsked
	// EventConnected means that the coordinator has connected to the address of the instance. It
	// says nothing about the health. EventConnected uses the fields Peer, Proof and Spec, the
	// registration whose address was dialled.
	EventConnected
)

// Event is one piece of evidence about an instance, a change of its registration, or a change
// of an override. Evidence has no effect if the instance is unknown, or if Lease is not the
// lease of the present registration.
type Event struct {
	Kind   EventKind
	ID     health.ID
	Lease  uint64
	Spec   *health.Spec
	Loaded *Loaded
	Report Report
	Cause  health.Cause
	Reason string // explanation of the cause for people; may be empty
	// Session is the number of the stream or connection on which an answer came. It differs for
	// each stream and connection. It is 0 if the number is unknown, or if a proxy may have
	// answered.
	Session uint64
	// Proven reports that the answer contains a valid proof of the registered process's key.
	Proven bool
	// Late is how long the coordinator itself was late while it waited for an answer that did not
	// come. The instance gets this time again before the missing answer counts against it.
	Late time.Duration
	// On is true if a stream of pushes has begun, and false if it has ended.
	On bool
	// Peer is the IP address to which the coordinator has connected, or from which the instance pushes.
	Peer netip.Addr
	// Proof is what the connection proves about the endpoint; ProofNotRequired means nothing.
	Proof    health.EndpointProof
	Scope    health.Scope
	Override *health.Override
}

// Report is what an instance reports about itself.
type Report struct {
	Source       health.Source
	Status       health.Status
	Cause        health.Cause // CauseNone means the usual cause of Status
	Reason       string       // explanation of the cause for people; may be empty
	FirstFailure time.Time    // time when the present failure began; zero means the time of the event
	// Named reports that the target has answered for its health name, the service name in health
	// calls. If Named is false, the target has answered for the empty name, which means the whole
	// server.
	Named bool
	// Via says in words why the coordinator gets the status from Source and not from a better
	// source. For example, the target may not serve a better protocol. Via is empty if there is no
	// better source.
	Via     string
	Checks  []health.CheckState
	Metrics *health.Metrics
}

// Loaded is what the store knew about an instance when the coordinator started.
type Loaded struct {
	Status health.Status // last stored status; Starting if the store had no status
	Cause  health.Cause
	Reason string
	Since  time.Time
	// Proven reports that the instance was routable (SERVING or DEGRADED) at least once since its
	// registration.
	Proven bool
	// Named reports that the target has at least once answered for its health name, the service
	// name in health calls.
	Named bool
	// Unheard reports that no status was received since the registration.
	Unheard bool
	// Route is what routing clients received last, and Endpoint is the address that they received.
	// Endpoint is not valid if it was never known.
	Route    health.Route
	Endpoint netip.AddrPort
	// Proof is the best proof of the endpoint that came after the registration.
	Proof health.EndpointProof
	// Trusted reports that Status is recent enough to be used until there is new evidence.
	Trusted bool
}
