package main

import (
	"fmt"
	"strings"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// statusOf is a status and whether it is confirmed.
func (p pen) statusOf(h *pb.Health) cell {
	c := p.status(h.GetStatus())
	if h.GetUnconfirmed() {
		c.text += " ~"
	}
	return c
}

// causeOf is a cause, unless it says nothing that the status does not.
func causeOf(c pb.Cause) string {
	switch cause := health.CauseFromWire(int32(c)); cause {
	case health.CauseOK:
		return ""
	default:
		return cause.String()
	}
}

// forOf is how long a status has lasted. The sender's clocks measured it; ours
// may be wrong.
func forOf(h *pb.Health) string {
	if h.GetAge() == nil {
		return ""
	}
	return age(h.GetAge().AsDuration())
}

// upOf is how many of a service's instances can be sent traffic.
func upOf(h *pb.Health) string {
	c := h.GetCounts()
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%d/%d", c.GetServing()+c.GetDegraded(), total(c))
}

func total(c *pb.Counts) uint32 {
	return c.GetServing() + c.GetDegraded() + c.GetNotServing() + c.GetUnknown() +
		c.GetStarting() + c.GetDraining() + c.GetMaintenance()
}

// whyOf is everything that explains a status, the most important first.
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

// nextOf says what will be decided about an unconfirmed status, and when.
func nextOf(h *pb.Health) string {
	if !h.GetUnconfirmed() {
		return ""
	}
	if h.GetNextAt() == nil || h.GetAt() == nil {
		return "not confirmed at the moment"
	}
	in := h.GetNextAt().AsTime().Sub(h.GetAt().AsTime()).Round(time.Second)
	return fmt.Sprintf("not confirmed: %s in %s unless it is heard of", outcome(h.GetNextCause()), age(in))
}

// outcome is what a decision for this cause makes of a status.
func outcome(c pb.Cause) string {
	cause := health.CauseFromWire(int32(c))
	switch cause {
	case health.CauseUnreachable, health.CauseLeaseExpired:
		return fmt.Sprintf("%s (%s)", health.NotServing, cause)
	case health.CauseNone:
		return "a decision"
	}
	return cause.String()
}

// well reports whether there is nothing to say about an entry.
func well(h *pb.Health) bool {
	return h.GetStatus() == pb.Status_STATUS_SERVING && !h.GetUnconfirmed() && h.GetOverride() == nil
}
