package explain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/meshhealth/meshhealth/health"
)

// maxNextSaid is the largest number of future changes in the sentences.
const maxNextSaid = 3

// saySentences makes the sentences from the other fields. No other code makes sentences.
func (b *explainer) saySentences() {
	b.first()
	b.override()
	if b.s.Spec != nil {
		b.sayEvidence()
		b.rootOfInstance()
	} else if b.s.Counts != nil {
		b.sayAggregate()
	}
	b.sayNext()
	b.out.Sentences = b.out.Sentences[:min(len(b.out.Sentences), maxSentences)]
}

func (b *explainer) sentence(format string, args ...any) {
	b.out.Sentences = append(b.out.Sentences, fmt.Sprintf(format, args...)+".")
}

// first says the status, its age and its cause.
func (b *explainer) first() {
	s := b.s
	text := fmt.Sprintf("%s is %s for %s", nameOf(s), s.Status, b.since(s.Since))
	if words := wordsOf(s.Cause); words != "" {
		text += ": " + words
	}
	if s.Reason != "" && s.Override == nil && !s.Stranger {
		text += ": " + s.Reason
	}
	b.sentence("%s", text)
	if first := s.FirstFailure; !first.IsZero() && s.Since.Sub(first).Seconds() >= 1 {
		b.sentence("The failure began %s ago", b.since(first))
	}
}

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

// override says who has forced the status, and which status the instance has without the override.
func (b *explainer) override() {
	o := b.s.Override
	if o == nil {
		return
	}
	b.sentence("%s forced this status %s ago, for the scope %s: %s", authorOr(o.Author), b.since(o.SetAt), o.Scope, o.Reason)
	b.sentence("Without the override it would be %s", b.s.Judged)
	if !o.ExpiresAt.IsZero() {
		b.sentence("The override ends in %s", brief(o.ExpiresAt.Sub(b.input.Now)))
	}
}

// sayEvidence says all evidence except the members of an aggregate.
func (b *explainer) sayEvidence() {
	for i := range b.out.Evidence {
		switch e := &b.out.Evidence[i]; {
		case e.member:
		case isCheck(e):
			b.sentence("%s", checkSentence(e))
		default:
			b.sentence("%s", capital(e.Text)+b.when(e))
		}
	}
}

// when returns in parentheses how often and when evidence came.
func (b *explainer) when(e *Evidence) string {
	switch timed := !e.At.IsZero() && !strings.HasPrefix(e.Source, dependency); {
	case timed && e.Count > 1:
		return fmt.Sprintf(" (%d times in a row, the last time %s ago)", e.Count, b.since(e.At))
	case timed:
		return fmt.Sprintf(" (%s ago)", b.since(e.At))
	case e.Count > 1:
		return fmt.Sprintf(" (%d times in a row)", e.Count)
	}
	return ""
}

// dependency begins the source of evidence about a dependency.
const dependency = "dependency "

func isCheck(e *Evidence) bool { return !e.member && strings.HasPrefix(e.Source, "check ") }

// checkSentence says what is wrong with a check.
func checkSentence(e *Evidence) string {
	text := joined(fmt.Sprintf("Its %s is %s", e.Source, e.Status), e.Text)
	if e.Count > 1 {
		text += fmt.Sprintf(" (%d times in a row)", e.Count)
	}
	return text
}

// rootOfInstance says which service is the root of the failure of the instance's service.
func (b *explainer) rootOfInstance() {
	if chain := b.out.Chain; len(chain) > 1 {
		b.sentence("The root of the failure of its service is %s", chain[0].ID)
	}
}

// sayAggregate says the rule of an aggregate, its members by status, its root and its dependencies.
func (b *explainer) sayAggregate() {
	all := b.out.Evidence
	rules := 0
	for rules < len(all) && all[rules].Source == "rule" {
		rules++
	}
	b.out.Evidence = all[:rules]
	b.sayEvidence()
	for _, status := range []health.Status{health.NotServing, health.Unknown, health.Degraded, health.Maintenance, health.Draining, health.Starting} {
		if names := b.named(func(m *health.State) bool { return m.Status == status }); names != "" {
			b.sentence("%s: %s", status, names)
		}
	}
	if chain := b.out.Chain; len(chain) > 1 && chain[0].ID.Instance == "" && b.s.Root == chain[0].ID.Service {
		b.sentence("The root of the failure is %s, which is %s for %s", chain[0].ID, chain[0].Status, b.since(chain[0].Since))
	}
	b.out.Evidence = all[rules:]
	b.sayEvidence()
	b.out.Evidence = all
	if n := b.s.Affected; n > 0 {
		b.sentence("It is the root of the failure of %d services", n)
	}
}

// sayNext says the first changes that may follow.
func (b *explainer) sayNext() {
	if b.s.Override != nil {
		return
	}
	for i := range b.out.Next[:min(len(b.out.Next), maxNextSaid)] {
		b.sentence("%s", b.changeSentence(&b.out.Next[i]))
	}
}

// changeSentence says one change that may follow.
func (b *explainer) changeSentence(c *Change) string {
	what := "it becomes " + statusWithCause(c.To, c.Cause)
	switch {
	case c.Removed:
		what = "it is removed"
	case c.Unconfirmed:
		what = "it is " + c.To.String() + " and unconfirmed"
	case b.s.Unconfirmed && c.To == b.s.Status && c.Unless == "":
		what = "it is confirmed as " + statusWithCause(c.To, c.Cause)
	}
	text := capital(what)
	if !c.At.IsZero() {
		text = "In " + brief(c.At.Sub(b.input.Now)) + " " + what
	}
	if c.If != "" {
		text += " if " + c.If
	}
	if c.Unless != "" {
		text += ", unless " + c.Unless
	}
	return text
}

// capital returns a text with an upper-case first letter, if it begins with a word. The address of an
// instance stays as it is.
func capital(text string) string {
	for _, word := range []string{"it", "its", "no", "of", "this", "the", "another", "if", "routing"} {
		if strings.HasPrefix(text, word+" ") {
			r, n := utf8.DecodeRuneInString(text)
			return string(unicode.ToUpper(r)) + text[n:]
		}
	}
	return text
}
