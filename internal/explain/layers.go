package explain

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// explainLayers describes the layers of an instance.
func (b *explainer) explainLayers() {
	v := b.view
	if v == nil {
		return
	}
	add := func(name string, l *mesh.LayerView, detail string) {
		b.out.Layers = append(b.out.Layers, Layer{
			Name: name, In: l.In, Out: l.Out, Cause: l.Cause, Unconfirmed: l.Unconfirmed, Since: l.Since, Detail: detail,
		})
	}
	add("reported", &v.Reported.LayerView, reportedDetail(&v.Reported))
	add("reach", &v.Reach.LayerView, reachDetail(&v.Reach))
	add("guard", &v.Guard.LayerView, guardDetail(&v.Guard))
	add("damping", &v.Damping.LayerView, dampingDetail(&v.Damping))
	add("override", &v.Override.LayerView, overrideDetail(v.Override.Forced))
}

func reportedDetail(r *mesh.ReportedView) string {
	switch r.State {
	case mesh.ReportedNothing:
		return "no status was received"
	case mesh.ReportedRestored:
		return fmt.Sprintf("%s is from before the start of the coordinator", r.Out)
	case mesh.ReportedWaits:
		text := fmt.Sprintf("it answers SERVING, by %s, which does not count yet", r.Source)
		if r.NeedsPolls > 0 {
			text += fmt.Sprintf(" (%d of %d polls)", min(r.Polls, r.NeedsPolls), r.NeedsPolls)
		}
		return text
	case mesh.ReportedLowered:
		return "it was declared dead, so its last status does not count"
	case mesh.ReportedUnproven:
		return fmt.Sprintf("its last status, %s, does not count: the lease has ended, and the process has not proved who it is", r.In)
	}
	return fmt.Sprintf("it says %s, by %s", r.In, r.Source)
}

// reachWords has the words for the states of the layer reach.
var reachWords = [mesh.NumReachStates]string{
	mesh.ReachHeard:       "confirmed",
	mesh.ReachRestored:    "no answer has confirmed the last status yet",
	mesh.ReachOnce:        "one fault; the next answer decides",
	mesh.ReachSuspect:     "answers are missing",
	mesh.ReachRenewing:    "answers are missing, but its client renews the lease",
	mesh.ReachQuota:       "it has no room for the coordinator's calls",
	mesh.ReachStranger:    "another process answers at its address",
	mesh.ReachUnknown:     "its answers say nothing about its health",
	mesh.ReachRefused:     "declared dead, because it refused connections",
	mesh.ReachUnreachable: "declared dead, because it did not answer",
	mesh.ReachExpired:     "declared dead, because its lease has ended",
}

func reachDetail(r *mesh.ReachView) string {
	text := reachWords[r.State]
	if r.State == mesh.ReachHeard {
		switch {
		case r.NotAsked:
			text = "the coordinator has not asked it for a long time"
		case r.Pushed:
			text = "it pushes its status"
		case r.AnsweredAt.IsZero():
			text = "no answer yet"
		}
	}
	if r.OverForgiven {
		text += "; the coordinator itself was late too often to be sure"
	}
	if r.Excused {
		text += "; it leaves on purpose, so silence changes nothing"
	}
	return text
}

func guardDetail(g *mesh.GuardView) string {
	where := "the mesh"
	if g.Guard.Zone != "" {
		where = "zone " + g.Guard.Zone
	}
	counts := fmt.Sprintf("%d of %d instances of %s are suspect", g.Guard.Suspect, g.Guard.Known, where)
	switch g.State {
	case mesh.GuardTripped:
		return "tripped: " + counts + "; it keeps no status here"
	case mesh.GuardHolds:
		return "it keeps the status: " + counts
	case mesh.GuardExpired:
		return "it has kept the status for too long: " + counts
	}
	return "off"
}

func dampingDetail(d *mesh.DampingView) string {
	switch d.State {
	case mesh.DampingQuiet:
		return fmt.Sprintf("penalty %.0f of %.0f", d.Penalty, d.SuppressAt)
	case mesh.DampingSuppressed:
		return fmt.Sprintf("penalty %.0f; the worst status is kept until it is %.0f", d.Penalty, d.ReuseAt)
	}
	return "off"
}

func overrideDetail(o *health.Override) string {
	if o == nil {
		return "none"
	}
	text := fmt.Sprintf("%s forces %s for the scope %s", authorOr(o.Author), o.Status, o.Scope)
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}
