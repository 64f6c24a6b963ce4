package explain

import (
	"fmt"
	"slices"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// findNext sets the ways in which the status may change.
func (b *explainer) findNext() {
	if b.input.Inspection == nil {
		b.announced()
		return
	}
	for i := range b.input.Inspection.Next {
		p := &b.input.Inspection.Next[i]
		c := Change{To: p.To, Cause: p.Cause, Unconfirmed: p.Unconfirmed, Removed: p.Removed, At: p.At}
		if c.If, c.Unless = b.conditions(p); b.concerns(p) {
			b.out.Next = append(b.out.Next, c)
		}
	}
	slices.SortStableFunc(b.out.Next, func(x, y Change) int {
		switch xTimed, yTimed := !x.At.IsZero(), !y.At.IsZero(); {
		case xTimed && yTimed:
			return x.At.Compare(y.At)
		case xTimed:
			return -1
		case yTimed:
			return 1
		}
		return 0
	})
	b.out.Next = b.out.Next[:min(len(b.out.Next), maxNext)]
}

// concerns reports whether a change is worth an announcement, and names nothing hidden. The end of a
// lease is none for a service whose member is confirmed, because such a member renews its lease all the
// time.
func (b *explainer) concerns(p *mesh.Prospect) bool {
	if p.Member == (health.ID{}) {
		return true
	}
	m, ok := b.input.Find(p.Member)
	leased := p.MemberTrigger == mesh.TriggerLeaseEnd || p.MemberTrigger == mesh.TriggerRemoval
	return ok && b.may(p.Member) && (m.Unconfirmed || !leased)
}

// announced sets the change that the published state announces, if it says which status follows.
func (b *explainer) announced() {
	s := b.s
	if s.NextAt.IsZero() || s.Override != nil {
		return
	}
	c := Change{To: health.Unknown, Cause: s.NextCause, At: s.NextAt, Unless: "it answers"}
	switch s.NextCause {
	case health.CauseUnreachable, health.CauseLeaseExpired:
		c.To = health.NotServing
	case health.CauseOK:
		c.To, c.Unless = health.Serving, "it stops answering SERVING"
	case health.CauseQuota:
	case health.CauseUnconfirmed:
		c.Unless = "more is known until then"
	default:
		return
	}
	b.out.Next = []Change{c}
}

// conditions returns what must happen before a change, and what prevents it.
func (b *explainer) conditions(p *mesh.Prospect) (when, unless string) {
	switch p.Trigger {
	case mesh.TriggerMember:
		return memberTurns(p), unlessOf(p.MemberTrigger, p.Member.String())
	case mesh.TriggerAnswer:
		return "it answers" + lasting(p), ""
	case mesh.TriggerServing:
		return b.recovers(p), ""
	case mesh.TriggerNotServing:
		if b.view != nil && len(b.view.Checks) > 0 {
			return "one of its checks fails as often as its process requires", ""
		}
		return "it reports NOT_SERVING", ""
	case mesh.TriggerRefused:
		return "its address refuses two connections, at least 1s apart", ""
	case mesh.TriggerGuardReleased:
		return "the guard is released, and it does not answer after this", ""
	case mesh.TriggerOverrideCleared:
		return "the override is cleared", ""
	case mesh.TriggerRecovery:
		return b.more(p.Count, health.Serving), ""
	case mesh.TriggerLoss:
		return b.more(p.Count, health.NotServing), ""
	}
	return "", unlessOf(p.Trigger, "it")
}

// memberTurns says how a member changes.
func memberTurns(p *mesh.Prospect) string {
	switch {
	case p.MemberRemoved:
		return p.Member.String() + " is removed"
	case p.MemberTrigger == mesh.TriggerGrace:
		return fmt.Sprintf("%s, which counts from then on, is still %s", p.Member, p.MemberTo)
	}
	return fmt.Sprintf("%s becomes %s", p.Member, statusWithCause(p.MemberTo, p.MemberCause))
}

// unlessOf says what prevents a change for which only time must pass. who is the instance.
func unlessOf(t mesh.Trigger, who string) string {
	own := func(noun string) string {
		if who == "it" {
			return "its " + noun
		}
		return "the " + noun + " of " + who
	}
	switch t {
	case mesh.TriggerRecovered:
		return who + " stops answering SERVING"
	case mesh.TriggerSilent, mesh.TriggerGiveUp:
		return who + " answers"
	case mesh.TriggerLeaseEnd, mesh.TriggerRemoval:
		return own("lease") + " is renewed"
	case mesh.TriggerQuiet:
		return own("status") + " changes again"
	case mesh.TriggerGuardMax:
		return "the guard is released"
	case mesh.TriggerOverrideEnd:
		return "the override is set again"
	case mesh.TriggerAmnesty:
		return "more is known until then"
	}
	return ""
}

// recovers says what makes an instance SERVING.
func (b *explainer) recovers(p *mesh.Prospect) string {
	var failing []string
	for i := range b.out.Evidence {
		if e := &b.out.Evidence[i]; isCheck(e) {
			failing = append(failing, e.Source)
		}
	}
	switch n := len(failing); {
	case n == 0:
		if p.Wait > 0 {
			return "it answers SERVING" + lasting(p)
		}
		return "it reports SERVING"
	case n == 1:
		return "its " + failing[0] + " passes as often as its process requires"
	default:
		return fmt.Sprintf("its %d checks that fail pass as often as its process requires", n)
	}
}

// lasting says how long evidence must last.
func lasting(p *mesh.Prospect) string {
	if p.Wait == 0 {
		return ""
	}
	text := " for " + brief(p.Wait)
	if p.Polls > 1 {
		text += fmt.Sprintf(", in %d polls", p.Polls)
	}
	return text
}

// more says that n more members get a status.
func (b *explainer) more(n int, to health.Status) string {
	noun := "instance"
	if b.s.ID.Service == health.MeshName {
		noun = "service"
	}
	if n == 1 {
		return fmt.Sprintf("1 more %s becomes %s", noun, to)
	}
	return fmt.Sprintf("%d more %ss become %s", n, noun, to)
}
