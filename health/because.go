package health

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Surroundings is what a state is explained from.
type Surroundings struct {
	// Now is when; ages are as of then.
	Now time.Time
	// Policy is how the service is judged, as configured.
	Policy ServicePolicy
	// Members are the instances of a service, or the services of a mesh or a
	// zone.
	Members []State
	// Find returns what is published of a name.
	Find func(ID) (State, bool)
}

// maxNamed bounds how many names one sentence lists.
const maxNamed = 5

// Because says in words why s is as it is and what would change it next, one
// sentence each, the most important first.
func (s *State) Because(around *Surroundings) []string {
	b := &because{s: s, around: around}
	b.itself()
	b.forced()
	switch {
	case s.Spec != nil:
		b.instance()
	case s.Counts != nil:
		b.aggregate()
	}
	b.next()
	return b.sentences
}

type because struct {
	s         *State
	around    *Surroundings
	sentences []string
}

func (b *because) say(format string, args ...any) {
	b.sentences = append(b.sentences, fmt.Sprintf(format, args...)+".")
}

func (b *because) since(t time.Time) string { return brief(b.around.Now.Sub(t)) }

// name is how a state is called in a sentence.
func (s *State) name() string {
	zone, part := s.ID.Part()
	switch {
	case s.ID == ID{}:
		return "The coordinator"
	case part && s.ID.Service == MeshName:
		return "Zone " + zone
	case part:
		return s.ID.Service + " in zone " + zone
	case s.ID.Service == MeshName:
		return "The mesh"
	}
	return s.ID.String()
}

// itself is the first sentence.
func (b *because) itself() {
	s := b.s
	text := fmt.Sprintf("%s is %s for %s", s.name(), s.Status, b.since(s.Since))
	if words := s.Cause.words(); words != "" {
		text += ": " + words
	}
	if s.Reason != "" && s.Override == nil {
		text += ": " + s.Reason
	}
	b.say("%s", text)
	if first := s.FirstFailure; !first.IsZero() && s.Since.Sub(first) >= time.Second {
		b.say("Its trouble began %s ago", b.since(first))
	}
}

// forced says who forces it, and what it would be.
func (b *because) forced() {
	o := b.s.Override
	if o == nil {
		return
	}
	b.say("%s has forced this %s ago, for %s: %s", orNobody(o.Author), b.since(o.SetAt), o.Scope, o.Reason)
	b.say("Without that it would be %s", b.s.Judged)
	if !o.ExpiresAt.IsZero() {
		b.say("It ends in %s", brief(o.ExpiresAt.Sub(b.around.Now)))
	}
}

// instance says what it says of itself, and how that reaches us.
func (b *because) instance() {
	s := b.s
	for i := range s.Checks {
		if c := &s.Checks[i]; c.Status != Serving {
			b.say("%s", c.sentence())
		}
	}
	if s.Unconfirmed {
		b.say("That cannot be confirmed at the moment; it is kept from before")
	}
	switch {
	case s.Unreachable:
		b.say("We cannot reach it at %s, but it renews its lease: it lives", s.Spec.Address)
	case s.Pushed:
		b.say("It pushes its status, because we cannot reach it at %s", s.Spec.Address)
	case s.Source == SourceNone:
		b.say("It was never heard of at %s", s.Spec.Address)
	default:
		b.say("It is followed at %s, by %s", s.Spec.Address, s.Source)
	}
	if svc, ok := b.around.Find(ID{Service: s.ID.Service}); ok && svc.Root != "" && s.Status.ill() {
		b.say("What its service suffers from is %s", svc.Root)
	}
}

// sentence says what is wrong with a check.
func (c *CheckState) sentence() string {
	text := fmt.Sprintf("Its check %s is %s", c.Name, c.Status)
	if words := c.Cause.words(); words != "" {
		text += ": " + words
	}
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	if c.Fails > 1 {
		text += fmt.Sprintf(" (%d times in a row)", c.Fails)
	}
	return text
}

// aggregate says which members make it what it is, and what it depends on.
func (b *because) aggregate() {
	s := b.s
	if rule := s.Counts.Rule; rule != (Rule{}) && rule != Available {
		b.say("It is judged by the rule %s", rule)
	}
	if n := s.Counts.Total() - s.Counts.Counted; n > 0 && s.Counts.Counted > 0 {
		why := "they have just come, are leaving, were taken out, or were never heard of"
		if s.ID.Service == MeshName {
			why = "they are optional, or have no instance that counts"
		}
		b.say("Of %d, %d do not count: %s", s.Counts.Total(), n, why)
	}
	for _, status := range []Status{NotServing, Unknown, Degraded, Maintenance, Draining, Starting} {
		if names := b.members(status); names != "" {
			b.say("%s: %s", status, names)
		}
	}
	b.dependencies()
}

// members lists those with a status, and why, as long as they are few.
func (b *because) members(status Status) string {
	var names []string
	for i := range b.around.Members {
		if m := &b.around.Members[i]; m.Status == status {
			name := m.ID.String()
			if m.Cause != CauseNone && m.Cause != causeOf(m.Status) {
				name += " (" + m.Cause.String() + ")"
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// dependencies says what it suffers from, and who suffers from it.
func (b *because) dependencies() {
	s := b.s
	if root, ok := b.around.Find(ID{Service: s.Root}); ok && s.Root != "" {
		b.say("It comes from %s, which is %s for %s", s.Root, root.Status, b.since(root.Since))
	}
	for _, name := range b.around.Policy.DependsOn {
		switch d, ok := b.around.Find(ID{Service: name}); {
		case !ok:
			b.say("It cannot do without %s, of which nothing is registered", name)
		case d.Status != Serving && name != s.Root:
			b.say("It cannot do without %s, which is %s", name, d.Status)
		}
	}
	for _, name := range b.around.Policy.SoftDependsOn {
		if d, ok := b.around.Find(ID{Service: name}); ok && d.Status != Serving {
			b.say("It would miss %s, which is %s", name, d.Status)
		}
	}
	if s.Affected > 0 {
		b.say("%d services are bad because of it", s.Affected)
	}
}

// next says what will be decided, and when.
func (b *because) next() {
	s := b.s
	if s.NextAt.IsZero() || s.Override != nil {
		return
	}
	in := brief(s.NextAt.Sub(b.around.Now))
	switch s.NextCause {
	case CauseUnreachable, CauseLeaseExpired:
		b.say("In %s it is NOT_SERVING (%s), unless it is heard of", in, s.NextCause)
	case CauseFlapping:
		b.say("If it is quiet until then, what it really is comes out in %s", in)
	case CauseOK:
		b.say("If it holds SERVING, that is believed in %s", in)
	default:
		b.say("In %s it is decided anew (%s)", in, s.NextCause)
	}
}

func orNobody(author string) string {
	if author == "" {
		return "Somebody"
	}
	return author
}

// brief says how long something lasts, rounded to seconds.
func brief(d time.Duration) string {
	d = max(0, d).Round(time.Second)
	text := d.String()
	if d >= time.Minute && strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= time.Hour && strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// causeWords says in words what a cause means; none for those that a status or
// its counts say already.
var causeWords = [numCauses]string{
	CauseTimeout:         "a check did not answer in time",
	CausePanic:           "a check panicked",
	CauseStale:           "the last evidence is too old",
	CauseBlocked:         "what it comes after is bad",
	CauseRefused:         "nobody listens at its address",
	CauseUnreachable:     "it could not be reached for too long",
	CauseTLS:             "the TLS handshake fails, which only a change of configuration can mend",
	CauseUnauthenticated: "it does not accept our identity",
	CauseUnimplemented:   "it speaks no health protocol we know",
	CauseUnknownName:     "it does not know the name it is asked for",
	CauseLeaseExpired:    "it has not renewed its lease",
	CauseFlapping:        "it goes up and down, and is held at its worst until it is quiet",
	CauseGuarded:         "half of the mesh or of its zone cannot be reached, so that nobody is called dead for silence",
	CauseUnconfirmed:     "nothing trustworthy is known since the start",
	CauseStarting:        "there is no evidence yet",
}

func (c Cause) words() string {
	if c >= numCauses {
		return ""
	}
	return causeWords[c]
}
