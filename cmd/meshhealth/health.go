package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// statusOf returns the table cell with the status of an entry. A ~ marks an unconfirmed status.
func (p pen) statusOf(h *pb.Health) cell {
	c := p.status(h.GetStatus())
	if h.GetUnconfirmed() {
		c.text += " ~"
	}
	return c
}

// removed returns the table cell for an entry that does not exist any more.
func (p pen) removed() cell { return cell{p.choose("✂", "-") + " REMOVED", faint} }

// causeOf returns the name of a cause for a table. For the cause "ok" it returns an empty text,
// because the status already says this.
func causeOf(c pb.Cause) string {
	switch cause := health.CauseFromWire(int32(c)); cause {
	case health.CauseOK:
		return ""
	default:
		return cause.String()
	}
}

// lastedOf returns how long a status has lasted, as the coordinator has measured it. The local
// clock may differ from the clock of the coordinator.
func lastedOf(h *pb.Health) string {
	if h.GetAge() == nil {
		return ""
	}
	return age(h.GetAge().AsDuration())
}

// routableOf returns a text such as 2/3 for an aggregate: 2 of its 3 members are routable, which
// means SERVING or DEGRADED.
func routableOf(h *pb.Health) string {
	c := h.GetCounts()
	if c == nil {
		return ""
	}
	total := c.GetServing() + c.GetDegraded() + c.GetNotServing() + c.GetUnknown() +
		c.GetStarting() + c.GetDraining() + c.GetMaintenance()
	return fmt.Sprintf("%d/%d", c.GetServing()+c.GetDegraded(), total)
}

// whyOf returns all facts that explain the status of h in one line, the most important fact first.
func whyOf(h *pb.Health) string {
	because, root := "", ""
	if h.GetRoot() != "" {
		because = "because of " + h.GetRoot()
	}
	if n := h.GetAffected(); n > 0 {
		root = "root of " + plural(int(n), "service")
	}
	return joinFacts(overrideOf(h), because, root, reasonOf(h), unprovenOf(h), nextOf(h))
}

// whyBesideRoot returns the facts of whyOf without those about the root of a failure.
func whyBesideRoot(h *pb.Health) string {
	return joinFacts(overrideOf(h), reasonOf(h), unprovenOf(h), nextOf(h))
}

// joinFacts joins the texts that are not empty.
func joinFacts(facts ...string) string {
	return strings.Join(slices.DeleteFunc(facts, func(fact string) bool { return fact == "" }), "; ")
}

// reasonOf returns the reason of a status. It is empty where other facts say the same.
func reasonOf(h *pb.Health) string {
	if h.GetOverride() != nil || h.GetCounts() != nil && h.GetStatus() == pb.Status_STATUS_SERVING {
		return ""
	}
	return h.GetReason()
}

// unprovenOf says that an instance receives no traffic because nothing proves its endpoint.
func unprovenOf(h *pb.Health) string {
	if h.GetRoute() != pb.Route_ROUTE_UNPROVEN {
		return ""
	}
	return "no traffic, because nothing proves its endpoint"
}

func overrideOf(h *pb.Health) string {
	o := h.GetOverride()
	if o == nil {
		return ""
	}
	text := "forced"
	if o.GetAuthor() != "" {
		text += " by " + o.GetAuthor()
	}
	if scope := o.GetScope(); scope != "" && scope != nameOf(h) {
		text += " for " + scope
	}
	if o.GetReason() != "" {
		text += ": " + o.GetReason()
	}
	if o.GetExpiresAt() != nil && h.GetAt() != nil {
		text += " (for another " + age(o.GetExpiresAt().AsTime().Sub(h.GetAt().AsTime())) + ")"
	}
	return text
}

// nextOf returns the status that an unconfirmed entry will probably get next, and when.
func nextOf(h *pb.Health) string {
	if !h.GetUnconfirmed() {
		return ""
	}
	if h.GetNextAt() == nil || h.GetAt() == nil {
		return "not confirmed at the moment"
	}
	in := h.GetNextAt().AsTime().Sub(h.GetAt().AsTime()).Round(time.Second)
	return fmt.Sprintf("not confirmed: %s in %s unless it is heard of", decisionOf(h.GetNextCause()), age(in))
}

// decisionOf describes the next status of an unconfirmed instance. c is the cause with which the
// coordinator will set this status.
func decisionOf(c pb.Cause) string {
	cause := health.CauseFromWire(int32(c))
	switch cause {
	case health.CauseUnreachable, health.CauseLeaseExpired:
		return fmt.Sprintf("%s (%s)", health.NotServing, cause)
	case health.CauseNone:
		return "a decision"
	}
	return cause.String()
}

// isWell reports whether an entry is SERVING, confirmed and without an override.
func isWell(h *pb.Health) bool {
	return h.GetStatus() == pb.Status_STATUS_SERVING && !h.GetUnconfirmed() && h.GetOverride() == nil
}

// isZone reports whether an entry is a zone of the mesh, or a service in one zone.
func isZone(h *pb.Health) bool {
	_, zone := health.ID{Service: h.GetService(), Instance: h.GetInstance()}.Zone()
	return zone
}

// exitCodeOf returns the exit code for a status. A number that is not a known status counts as
// UNKNOWN.
func exitCodeOf(s pb.Status) int {
	status, _ := health.StatusFromWire(int32(s))
	return status.ExitCode()
}
