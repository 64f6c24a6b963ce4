package main

import (
	"fmt"
	"slices"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// ailment is a fault in the way in which the coordinator follows an instance.
type ailment struct {
	topic  string
	level  level
	what   string // the fault
	action string // what to do; %s is the name of the first instance
}

// causeAilments has the faults that the cause of a status names.
var causeAilments = map[health.Cause]ailment{
	health.CauseRefused:         {"refused", levelFailed, "the connection is refused", "Start the process, or correct its address: meshhealth explain %s"},
	health.CauseUnreachable:     {"unreachable", levelFailed, "nothing answers", "Check the network between the coordinator and the address: meshhealth explain %s"},
	health.CauseTLS:             {"instance-tls", levelFailed, "the TLS handshake fails", "Set `dial.services` in the configuration of the coordinator to what %s speaks."},
	health.CauseUnauthenticated: {"unauthenticated", levelFailed, "the identity of the coordinator is not accepted", "Let the methods of grpc.health.v1.Health through the authentication of %s."},
	health.CauseUnimplemented:   {"unimplemented", levelFailed, "no health protocol is served", "Register grpc.health.v1 in the gRPC server of %s, or embed package server."},
	health.CauseUnknownName:     {"unknown-name", levelFailed, "the health name is not known there", "Register %s with the --health-name that its server knows."},
	health.CauseLeaseExpired:    {"lease-expired", levelFailed, "the lease was not renewed", "Start the process again, or remove it: meshhealth deregister %s"},
	health.CauseQuota:           {"quota", levelFailed, "there is no room for the coordinator's calls", "Raise the limit of concurrent streams in the gRPC server of %s."},
	health.CauseMalformed:       {"malformed", levelFailed, "the answers are no valid gRPC", "Check that the address of %s is a gRPC port, and that no proxy changes answers."},
}

// The faults that only an explanation names.
var (
	unheard    = ailment{"unheard", levelFailed, "nothing was heard since the registration", "Correct the address, or start the process: meshhealth explain %s"}
	stranger   = ailment{"stranger", levelFailed, "another process answers at the address", "Stop the other process, or register %s with its own address."}
	unproved   = ailment{"unproved", levelWarning, "the answers do not prove to be of the registered process", "Let proxies pass the header meshhealth-proof-bin of %s, and give client.Instance the Feed of its server."}
	unproven   = ailment{"unproven", levelWarning, "no traffic, because nothing proves the endpoint", "Let the coordinator connect to %s, or add its network to register.addresses of a rule."}
	pushes     = ailment{"pushes", levelWarning, "the status is pushed, because the coordinator cannot reach the address", "Open the way from the coordinator to the address of %s."}
	followed   = ailment{"protocol", levelWarning, "the best protocol is not in use", "Repair the Watch of %s, or choose another protocol with `register --protocol`."}
	silent     = ailment{"unconfirmed", levelWarning, "the status cannot be confirmed now", "Ask what comes next: meshhealth explain %s"}
	reportsBad = ailment{"not-well", levelWarning, "the status is bad, as the instance itself says", "Read which check fails: meshhealth explain %s"}
)

// group is the instances that have one fault.
type group struct {
	*ailment
	names  []string
	reason string // of the first instance
}

// followed says which instances the coordinator does not follow as it should.
func (d *doctor) followed() {
	if len(d.instances) == 0 {
		return
	}
	var groups []*group
	byTopic := map[string]*group{}
	for _, h := range d.instances {
		a, reason := ailmentOf(h, d.explained[nameOf(h)])
		if a == nil {
			continue
		}
		g := byTopic[a.topic]
		if g == nil {
			g = &group{ailment: a, reason: reason}
			groups, byTopic[a.topic] = append(groups, g), g
		}
		g.names = append(g.names, nameOf(h))
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return int(b.level - a.level) })
	for _, g := range groups {
		text := fmt.Sprintf("%s (%s): %s", g.what, plural(len(g.names), "instance"), someOf(g.names))
		if g.reason != "" {
			text += ": " + g.reason
		}
		d.found = append(d.found, diagnosis{"followed", g.level, g.topic, text, strings.ReplaceAll(g.action, "%s", g.names[0])})
	}
	if len(groups) == 0 {
		d.ok("followed", "%s", d.followers())
	}
}

// followers says by which protocols the instances are followed.
func (d *doctor) followers() string {
	text := "all that were examined are heard and confirmed"
	if d.state != nil && d.name == "" {
		text += ": " + countsOf(d.state.GetFollowers())
	}
	if more := len(d.instances) - len(d.explained); d.state != nil && more > 0 {
		text += fmt.Sprintf("; of %d of them only the status was examined", more)
	}
	return text
}

// ailmentOf returns the fault of an instance, and the reason for it. It returns nil for an instance
// without a fault. An instance that a person has taken out has none.
func ailmentOf(h *pb.Health, e *pb.ExplainResponse) (a *ailment, reason string) {
	f := e.GetFollowing()
	switch {
	case f.GetUnheard():
		return &unheard, ""
	case f.GetStranger():
		return &stranger, ""
	case f.GetUnproved():
		return &unproved, ""
	case h.GetRoute() == pb.Route_ROUTE_UNPROVEN:
		return &unproven, ""
	case f.GetPushed(), f.GetUnreachable():
		return &pushes, ""
	case f.GetVia() != "":
		return &followed, f.GetProtocol() + ": " + f.GetVia()
	}
	cause := health.CauseFromWire(int32(h.GetCause()))
	if a, ok := causeAilments[cause]; ok {
		return &a, h.GetReason()
	}
	switch {
	case h.GetOverride() != nil:
		return nil, ""
	case h.GetUnconfirmed() && h.GetStatus() != pb.Status_STATUS_STARTING:
		return &silent, h.GetReason()
	case inTrouble(h):
		return &reportsBad, h.GetReason()
	}
	return nil, ""
}

// someOf returns the first names of a list.
func someOf(names []string) string {
	text := strings.Join(names[:min(len(names), maxNamedInText)], ", ")
	if more := len(names) - maxNamedInText; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
