package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Input has the data that the function Sentences needs in addition to the state to explain.
type Input struct {
	// Now is the present time. Sentences computes all ages from it.
	Now time.Time
	// Policy is the configured policy of the service.
	Policy health.ServicePolicy
	// Members has the states of the instances of a service, or of the services of a zone or of
	// the mesh. It is empty if Sentences explains the state of an instance.
	Members []health.State
	// Find returns the published state of a name, or false if the name is unknown.
	Find func(health.ID) (health.State, bool)
}

// maxNamed is the largest number of names in one sentence.
const maxNamed = 5

// Sentences returns sentences that explain the status of s, and what may change it next. The
// most important sentence comes first.
func Sentences(s *health.State, input *Input) []string {
	b := &explainer{s: s, input: input}
	b.first()
	b.override()
	switch {
	case s.Spec != nil:
		b.instance()
	case s.Counts != nil:
		b.aggregate()
	}
	b.next()
	return b.sentences
}

// Route returns in words why routing clients see the instance with the state s as they do, such as
// "it is SERVING".
func Route(s *health.State) string {
	text := "it is " + s.Status.String()
	if s.Override == nil && s.Cause != health.CauseNone && s.Cause != s.Status.Cause() {
		text += " (" + s.Cause.String() + ")"
	}
	switch {
	case s.Route == health.RouteDuplicate:
		return fmt.Sprintf("another instance of its service has the endpoint %s", s.Endpoint)
	case s.Route == health.RouteNone:
		text += ", and nothing else was ever known of it"
	case s.RouteKept && s.Status == health.Unknown:
		text += ", so its route stays as it was"
	case s.RouteKept:
		text = "it cannot be reached, but without it less than half of the endpoints of its service would remain"
	}
	if s.Override != nil {
		text += " by an override"
	}
	if !s.Endpoint.IsValid() {
		text += "; the coordinator has not connected to it yet, so its IP address is not known"
	}
	return text
}

type explainer struct {
	s         *health.State
	input     *Input
	sentences []string
}

func (b *explainer) say(format string, args ...any) {
	b.sentences = append(b.sentences, fmt.Sprintf(format, args...)+".")
}

func (b *explainer) since(t time.Time) string { return brief(b.input.Now.Sub(t)) }

// nameOf returns the words with which a sentence names the instance or the aggregate with the
// state s.
func nameOf(s *health.State) string {
	zone, inZone := s.ID.Zone()
	switch {
	case s.ID == health.ID{}:
		return "The coordinator"
	case inZone && s.ID.Service == health.MeshName:
		return "Zone " + zone
	case inZone:
		return s.ID.Service + " in zone " + zone
	case s.ID.Service == health.MeshName:
		return "The mesh"
	}
	return s.ID.String()
}

// first adds the first sentence, which contains the status, its age and its cause.
func (b *explainer) first() {
	s := b.s
	text := fmt.Sprintf("%s is %s for %s", nameOf(s), s.Status, b.since(s.Since))
	if words := wordsOf(s.Cause); words != "" {
		text += ": " + words
	}
	if s.Reason != "" && s.Override == nil && !s.Stranger {
		text += ": " + s.Reason
	}
	b.say("%s", text)
	if first := s.FirstFailure; !first.IsZero() && s.Since.Sub(first) >= time.Second {
		b.say("The failure began %s ago", b.since(first))
	}
}

// override adds a sentence that says who has forced the status, and which status the
// instance has without the override.
func (b *explainer) override() {
	o := b.s.Override
	if o == nil {
		return
	}
	b.say("%s forced this status %s ago, for the scope %s: %s", authorOr(o.Author), b.since(o.SetAt), o.Scope, o.Reason)
	b.say("Without the override it would be %s", b.s.Judged)
	if !o.ExpiresAt.IsZero() {
		b.say("The override ends in %s", brief(o.ExpiresAt.Sub(b.input.Now)))
	}
}

// instance adds sentences about the checks of an instance. It also adds sentences about how the
// coordinator receives the status of the instance.
func (b *explainer) instance() {
	s := b.s
	for i := range s.Checks {
		if c := &s.Checks[i]; c.Status != health.Serving {
			b.say("%s", checkSentence(c))
		}
	}
	b.identity()
	b.source()
	b.route()
	if svc, ok := b.input.Find(health.ID{Service: s.ID.Service}); ok && svc.Root != "" && s.Status.InTrouble() {
		b.say("The root of the failure of its service is %s", svc.Root)
	}
}

// identity adds sentences that say whether the status is confirmed and whether the
// registered process has answered.
func (b *explainer) identity() {
	s := b.s
	if s.Unconfirmed && s.Status != health.Starting {
		b.say("This is the last known status; it cannot be confirmed now")
	}
	if s.Unheard {
		b.say("No status was received from it since it registered; its address is %s", s.Spec.Address)
	}
	if s.Stranger {
		b.say("Another process than the registered one answers at %s; its answers do not count", s.Spec.Address)
	}
	if s.Unproved {
		b.say("The process that answers at %s has not proved that it is the registered one", s.Spec.Address)
	}
}

// source adds a sentence that says how the coordinator receives the status.
func (b *explainer) source() {
	s := b.s
	switch {
	case s.Stranger && !s.Pushed:
		b.say("If the registered process does not renew its lease, the instance becomes NOT_SERVING (lease_expired) within %s", brief(s.Spec.TTL))
	case s.Unreachable:
		b.say("The coordinator cannot reach it at %s, but its client renews the lease, so it is alive", s.Spec.Address)
	case s.Pushed && s.Stranger:
		b.say("It pushes its status")
	case s.Pushed:
		b.say("It pushes its status, because the coordinator cannot reach it at %s", s.Spec.Address)
	case s.Source == health.SourcePush:
		b.say("It does not push its status any more, and has not answered at %s", s.Spec.Address)
	case s.Unheard:
	case s.Source == health.SourceNone:
		b.say("No status was received from it at %s since the coordinator started", s.Spec.Address)
	case s.Via != "":
		b.say("The coordinator follows it at %s, by %s: %s", s.Spec.Address, s.Source, s.Via)
	default:
		b.say("The coordinator follows it at %s, by %s", s.Spec.Address, s.Source)
	}
}

// route adds a sentence if routing clients see the instance in another way than its status says.
func (b *explainer) route() {
	s := b.s
	missing := s.Route.Routable() && !s.Endpoint.IsValid()
	if s.RouteKept && s.Route != health.RouteNone || s.Route == health.RouteDuplicate || missing {
		b.say("Routing clients see it as %s: %s", s.Route, Route(s))
	}
}

// checkSentence returns a sentence that says what is wrong with a check.
func checkSentence(c *health.CheckState) string {
	text := fmt.Sprintf("Its check %s is %s", c.Name, c.Status)
	if words := wordsOf(c.Cause); words != "" {
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

// aggregate adds sentences about the members that decide the status of an aggregate, and
// about the dependencies of a service.
func (b *explainer) aggregate() {
	s := b.s
	if rule := s.Counts.Rule; rule != (health.Rule{}) && rule != health.Available {
		b.say("Its status follows from the rule %s", rule)
	}
	if n := s.Counts.Total() - s.Counts.Counted; n > 0 && s.Counts.Counted > 0 {
		why := "they are new, leaving, in maintenance, or were never heard"
		if s.ID.Service == health.MeshName {
			why = "they are optional, starting, leaving, or in maintenance"
		}
		b.say("Of %d, %d do not count: %s", s.Counts.Total(), n, why)
	}
	b.unheard()
	b.meshRule()
	for _, status := range []health.Status{health.NotServing, health.Unknown, health.Degraded, health.Maintenance, health.Draining, health.Starting} {
		if names := b.members(status); names != "" {
			b.say("%s: %s", status, names)
		}
	}
	b.dependencies()
}

// unheard adds a sentence with the names of the instances that have never sent a status. A service
// with such instances is at best DEGRADED.
func (b *explainer) unheard() {
	if b.s.Counts.Unheard == 0 {
		return
	}
	b.say("It is at best DEGRADED, because no status was received from these since they registered: %s", b.named(func(m *health.State) bool {
		return m.Unheard && m.Status != health.Draining && m.Status != health.Maintenance
	}))
}

// meshRule adds sentences about the services that decide the status of the mesh or a zone.
func (b *explainer) meshRule() {
	c := b.s.Counts
	if c.Normal > 0 {
		b.say("Of the normal services that count (%d), %d are routable; at least %d must be", c.Normal, c.Routable, c.Need)
	}
	switch {
	case c.Rule == health.Worst || b.s.ID.Service != health.MeshName:
	case c.CriticalDown > 0:
		b.say("It is NOT_SERVING because these critical services are: %s", b.named(func(m *health.State) bool {
			return m.Counts != nil && m.Counts.Critical && m.Status == health.NotServing
		}))
	default:
		if critical := b.named(func(m *health.State) bool { return m.Counts != nil && m.Counts.Critical }); critical != "" {
			b.say("It becomes NOT_SERVING if one of these critical services does: %s", critical)
		}
	}
}

// members returns the names of the members with this status, at most maxNamed of them.
func (b *explainer) members(status health.Status) string {
	return b.named(func(m *health.State) bool { return m.Status == status })
}

// named returns the names of the members for which the function include returns true, at most
// maxNamed of them.
func (b *explainer) named(include func(*health.State) bool) string {
	var names []string
	for i := range b.input.Members {
		if m := &b.input.Members[i]; include(m) {
			name := m.ID.String()
			if m.Cause != health.CauseNone && m.Cause != m.Status.Cause() {
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

// dependencies adds sentences about the service that causes the failure of this service, and
// about the services whose failure this service causes.
func (b *explainer) dependencies() {
	s := b.s
	if root, ok := b.input.Find(health.ID{Service: s.Root}); ok && s.Root != "" {
		b.say("The root of the failure is %s, which is %s for %s", s.Root, root.Status, b.since(root.Since))
	}
	for _, name := range b.input.Policy.DependsOn {
		switch d, ok := b.input.Find(health.ID{Service: name}); {
		case !ok:
			b.say("It depends on %s, which has no registered instance", name)
		case d.Status != health.Serving && name != s.Root:
			b.say("It depends on %s, which is %s", name, d.Status)
		}
	}
	for _, name := range b.input.Policy.SoftDependsOn {
		if d, ok := b.input.Find(health.ID{Service: name}); ok && d.Status != health.Serving {
			b.say("It depends softly on %s, which is %s", name, d.Status)
		}
	}
	if s.Affected > 0 {
		b.say("It is the root of the failure of %d services", s.Affected)
	}
}

// next adds a sentence that says when the status may change without new evidence, and how.
func (b *explainer) next() {
	s := b.s
	if s.NextAt.IsZero() || s.Override != nil {
		return
	}
	in := brief(s.NextAt.Sub(b.input.Now))
	switch s.NextCause {
	case health.CauseUnreachable, health.CauseLeaseExpired:
		b.say("In %s it becomes NOT_SERVING (%s), unless it answers", in, s.NextCause)
	case health.CauseQuota:
		b.say("In %s it becomes UNKNOWN (%s), unless it answers", in, s.NextCause)
	case health.CauseFlapping:
		b.say("If its status does not change again, the real status is published in %s", in)
	case health.CauseOK:
		b.say("If it stays SERVING, that counts in %s", in)
	case health.CauseUnconfirmed:
		b.say("If no more is known in %s, it becomes UNKNOWN", in)
	default:
		b.say("In %s the next decision follows (%s)", in, s.NextCause)
	}
}

func authorOr(author string) string {
	if author == "" {
		return "An unknown person"
	}
	return author
}

// brief returns a duration as text, rounded to seconds.
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

// causeWords has the words for each cause. The words are empty if they would only repeat the
// status.
var causeWords = [health.NumCauses]string{
	health.CauseTimeout:         "a check did not answer in time",
	health.CausePanic:           "a check panicked",
	health.CauseStale:           "the last evidence is too old",
	health.CauseBlocked:         "a check or a service that it depends on fails",
	health.CauseRefused:         "it refuses connections at its address",
	health.CauseUnreachable:     "it could not be reached for too long",
	health.CauseTLS:             "the TLS handshake fails, which only a change of configuration can repair",
	health.CauseUnauthenticated: "it does not accept our identity",
	health.CauseUnimplemented:   "it serves no known health protocol",
	health.CauseUnknownName:     "it does not know its health name",
	health.CauseLeaseExpired:    "its lease was not renewed",
	health.CauseFlapping:        "its status changes too often, so its worst status is kept until it is quiet",
	health.CauseGuarded:         "half of the mesh or of its zone cannot be reached, so silence lowers no status",
	health.CauseUnconfirmed:     "nothing reliable is known since the start",
	health.CauseStarting:        "there is no evidence yet",
	health.CauseQuota:           "it has no room for the coordinator's calls",
	health.CauseMalformed:       "its answers are not valid",
}

func wordsOf(c health.Cause) string {
	if c >= health.NumCauses {
		return ""
	}
	return causeWords[c]
}
