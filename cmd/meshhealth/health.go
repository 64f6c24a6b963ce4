package main

import (
	"fmt"
	"strings"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// statusOf returns the status of an entry as a cell. A ~ marks a status that is not confirmed.
func (p pen) statusOf(h *pb.Health) cell {
	c := p.status(h.GetStatus())
	if h.GetUnconfirmed() {
		c.text += " ~"
	}
	return c
}

// removed returns the cell that replaces the status of an entry that does not exist any more.
func (p pen) removed() cell { return cell{p.or("✂", "-") + " REMOVED", faint} }

// causeOf returns the name of a cause. It returns an empty text for OK, which the status
// implies.
func causeOf(c pb.Cause) string {
	switch cause := health.CauseFromWire(int32(c)); cause {
	case health.CauseOK:
		return ""
	default:
		return cause.String()
	}
}

// lastedOf returns how long a status has lasted. The coordinator has measured it, since
// the local clock may differ from its clock.
func lastedOf(h *pb.Health) string {
	if h.GetAge() == nil {
		return ""
	}
	return age(h.GetAge().AsDuration())
}

// routableOf returns how many instances of a service are routable, such as 2/3.
func routableOf(h *pb.Health) string {
	c := h.GetCounts()
	if c == nil {
		return ""
	}
	total := c.GetServing() + c.GetDegraded() + c.GetNotServing() + c.GetUnknown() +
		c.GetStarting() + c.GetDraining() + c.GetMaintenance()
	return fmt.Sprintf("%d/%d", c.GetServing()+c.GetDegraded(), total)
}

// whyOf returns all facts that explain the status of h, the most important one first.
func whyOf(h *pb.Health) string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	add(overrideOf(h))
	if h.GetRoot() != "" {
		add("because of " + h.GetRoot())
	}
	if n := h.GetAffected(); n > 0 {
		add(plural(int(n), "service") + " bad because of it")
	}
	if h.GetOverride() == nil && (h.GetCounts() == nil || h.GetStatus() != pb.Status_STATUS_SERVING) {
		add(h.GetReason())
	}
	add(nextOf(h))
	return strings.Join(parts, "; ")
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

// nextOf says which decision about an unconfirmed status comes next, and when.
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

// decisionOf returns the status that a decision for this cause leads to.
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

// isWell reports whether an entry is SERVING and has nothing else that a person must know.
func isWell(h *pb.Health) bool {
	return h.GetStatus() == pb.Status_STATUS_SERVING && !h.GetUnconfirmed() && h.GetOverride() == nil
}

// isZone reports whether an entry is a zone, or a service in one zone.
func isZone(h *pb.Health) bool {
	_, zone := health.ID{Service: h.GetService(), Instance: h.GetInstance()}.Zone()
	return zone
}

// exitCodeOf returns the exit code of a status. An unknown number is UNKNOWN.
func exitCodeOf(s pb.Status) int {
	status, _ := health.StatusFromWire(int32(s))
	return status.ExitCode()
}
