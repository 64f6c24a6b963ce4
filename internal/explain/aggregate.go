package explain

import (
	"fmt"
	"slices"

	"github.com/meshhealth/meshhealth/health"
)

// aggregate adds the evidence about an aggregate: its rule, its worst members and the dependencies
// of a service.
func (b *explainer) aggregate() {
	s := b.s
	if rule := s.Counts.Rule; rule != (health.Rule{}) && rule != health.Available {
		b.say("rule", "its status follows from the rule %s", rule)
	}
	if n := s.Counts.Total() - s.Counts.Counted; n > 0 && s.Counts.Counted > 0 {
		why := "they are new, leaving, in maintenance, or were never heard"
		if s.ID.Service == health.MeshName {
			why = "they are optional, starting, leaving, or in maintenance"
		}
		b.say("rule", "of %d, %d do not count: %s", s.Counts.Total(), n, why)
	}
	b.unheard()
	b.meshRule()
	b.worstMembers()
	b.dependencies()
}

// unheard adds the names of the instances that have never sent a status. A service with such
// instances is at best DEGRADED.
func (b *explainer) unheard() {
	if b.s.Counts.Unheard == 0 {
		return
	}
	text := "it is at best DEGRADED, because no status was received from some instances since they registered"
	names := namesOf(b.input.Members, func(m *health.State) bool {
		return m.Unheard && m.Status != health.Draining && m.Status != health.Maintenance
	})
	if names != "" {
		text = "it is at best DEGRADED, because no status was received from these since they registered: " + names
	}
	b.say("rule", "%s", text)
}

// meshRule adds the services that decide the status of the mesh or a zone.
func (b *explainer) meshRule() {
	c := b.s.Counts
	if c.Normal > 0 {
		b.say("rule", "of the normal services that count (%d), %d are routable; at least %d must be", c.Normal, c.Routable, c.Need)
	}
	switch {
	case c.Rule == health.Worst || b.s.ID.Service != health.MeshName:
	case c.CriticalDown > 0:
		names := namesOf(b.input.Members, func(m *health.State) bool {
			return m.Counts != nil && m.Counts.Critical && m.Status == health.NotServing
		})
		if names == "" { // the caller may not see them
			b.say("rule", "it is NOT_SERVING because %d critical services are", c.CriticalDown)
			return
		}
		b.say("rule", "it is NOT_SERVING because these critical services are: %s", names)
	default:
		if critical := namesOf(b.input.Members, func(m *health.State) bool { return m.Counts != nil && m.Counts.Critical }); critical != "" {
			b.say("rule", "it becomes NOT_SERVING if one of these critical services does: %s", critical)
		}
	}
}

// worstMembers adds the worst members that are not SERVING.
func (b *explainer) worstMembers() {
	var bad []*health.State
	for i := range b.input.Members {
		if m := &b.input.Members[i]; m.Status != health.Serving || m.Unconfirmed {
			bad = append(bad, m)
		}
	}
	slices.SortFunc(bad, Worse)
	for _, m := range bad[:min(len(bad), maxMembers)] {
		b.add(Evidence{Source: m.ID.String(), Status: m.Status, Cause: m.Cause, Text: memberText(m), At: m.Since, member: true})
	}
}

// memberText returns why a member has its status.
func memberText(m *health.State) string {
	text := joined(wordsOf(m.Cause), m.Reason)
	if c := m.Counts; c != nil {
		text = joined(text, fmt.Sprintf("%d of %d routable", c.Of(health.Serving)+c.Of(health.Degraded), c.Total()))
	}
	if m.Unconfirmed {
		text = joined("not confirmed now", text)
	}
	if text == "" {
		text = "it is " + m.Status.String()
	}
	return text
}

// Worse compares two states for sorting: the worse status first, then the earlier one, then by name.
func Worse(a, b *health.State) int {
	switch {
	case a.Status.WorseThan(b.Status):
		return -1
	case b.Status.WorseThan(a.Status):
		return 1
	case !a.Since.Equal(b.Since):
		return a.Since.Compare(b.Since)
	}
	return a.ID.Compare(b.ID)
}

// dependencies adds the dependencies of a service that are not SERVING. The root is not among them,
// because the chain has it.
func (b *explainer) dependencies() {
	s := b.s
	if s.ID.Service == health.MeshName {
		return
	}
	policy := b.policy(s.ID.Service)
	add := func(name, words string, soft bool) {
		id := health.ID{Service: name}
		d, ok := b.input.Find(id)
		switch e := (Evidence{Source: "dependency " + name}); {
		case !b.may(id), ok && d.Status == health.Serving, ok && !soft && name == s.Root, !ok && soft:
		case !ok:
			e.Text = fmt.Sprintf("%s %s, which has no registered instance", words, name)
			b.add(e)
		default:
			e.Status, e.Cause, e.At = d.Status, d.Cause, d.Since
			e.Text = fmt.Sprintf("%s %s, which is %s", words, name, d.Status)
			b.add(e)
		}
	}
	for _, name := range policy.DependsOn {
		add(name, "it depends on", false)
	}
	for _, name := range policy.SoftDependsOn {
		add(name, "it depends softly on", true)
	}
}
