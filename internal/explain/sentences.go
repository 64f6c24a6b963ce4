package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// maxNextSaid is the largest number of future changes in the sentences.
const maxNextSaid = 3

// sentencesOf makes the sentences from the state s and the other fields of its explanation e. No other
// code makes sentences.
func sentencesOf(s *health.State, input *Input, e *Explanation) []string {
	w := &writer{s: s, input: input, e: e}
	w.first()
	w.override()
	if s.Spec != nil {
		w.evidence(e.Evidence)
		w.rootOfInstance()
	} else if s.Counts != nil {
		w.aggregate()
	}
	w.next()
	return w.sentences[:min(len(w.sentences), maxSentences)]
}

// writer writes the sentences of one explanation.
type writer struct {
	s         *health.State
	input     *Input
	e         *Explanation
	sentences []string
}

func (w *writer) add(format string, args ...any) {
	w.sentences = append(w.sentences, fmt.Sprintf(format, args...)+".")
}

func (w *writer) since(t time.Time) string { return brief(w.input.Now.Sub(t)) }

// first says the status, its age and its cause.
func (w *writer) first() {
	s := w.s
	text := fmt.Sprintf("%s is %s for %s", nameOf(s), s.Status, w.since(s.Since))
	if words := wordsOf(s.Cause); words != "" {
		text += ": " + words
	}
	if s.Reason != "" && s.Override == nil && !s.Stranger {
		text += ": " + s.Reason
	}
	w.add("%s", text)
	if first := s.FirstFailure; !first.IsZero() && s.Since.Sub(first).Seconds() >= 1 {
		w.add("The failure began %s ago", w.since(first))
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
func (w *writer) override() {
	o := w.s.Override
	if o == nil {
		return
	}
	w.add("%s forced this status %s ago, for the scope %s: %s", authorOr(o.Author), w.since(o.SetAt), o.Scope, o.Reason)
	w.add("Without the override it would be %s", w.s.Judged)
	if !o.ExpiresAt.IsZero() {
		w.add("The override ends in %s", brief(o.ExpiresAt.Sub(w.input.Now)))
	}
}

// evidence says evidence. Other sentences name the members of an aggregate.
func (w *writer) evidence(all []Evidence) {
	for i := range all {
		switch e := &all[i]; {
		case e.member:
		case isCheck(e):
			w.add("%s", checkSentence(e))
		default:
			w.add("%s", capital(e.Text)+w.when(e))
		}
	}
}

// when returns in parentheses how often and when evidence came.
func (w *writer) when(e *Evidence) string {
	switch timed := !e.At.IsZero() && !strings.HasPrefix(e.Source, dependency); {
	case timed && e.Count > 1:
		return fmt.Sprintf(" (%d times in a row, the last time %s ago)", e.Count, w.since(e.At))
	case timed:
		return fmt.Sprintf(" (%s ago)", w.since(e.At))
	case e.Count > 1:
		return fmt.Sprintf(" (%d times in a row)", e.Count)
	}
	return ""
}

// checkSentence says what is wrong with a check.
func checkSentence(e *Evidence) string {
	text := joined(fmt.Sprintf("Its %s is %s", e.Source, e.Status), e.Text)
	if e.Count > 1 {
		text += fmt.Sprintf(" (%d times in a row)", e.Count)
	}
	return text
}

// rootOfInstance says which service is the root of the failure of the instance's service.
func (w *writer) rootOfInstance() {
	if chain := w.e.Chain; len(chain) > 1 {
		w.add("The root of the failure of its service is %s", chain[0].ID)
	}
}

// aggregate says the rule of an aggregate, its members by status, its root and its dependencies.
func (w *writer) aggregate() {
	all := w.e.Evidence
	rules := 0
	for rules < len(all) && all[rules].Source == "rule" {
		rules++
	}
	w.evidence(all[:rules])
	for _, status := range []health.Status{health.NotServing, health.Unknown, health.Degraded, health.Maintenance, health.Draining, health.Starting} {
		if names := namesOf(w.input.Members, func(m *health.State) bool { return m.Status == status }); names != "" {
			w.add("%s: %s", status, names)
		}
	}
	if chain := w.e.Chain; len(chain) > 1 && chain[0].ID.Instance == "" && w.s.Root == chain[0].ID.Service {
		w.add("The root of the failure is %s, which is %s for %s", chain[0].ID, chain[0].Status, w.since(chain[0].Since))
	}
	w.evidence(all[rules:])
	if n := w.s.Affected; n > 0 {
		w.add("It is the root of the failure of %d services", n)
	}
}

// next says the first changes that may follow.
func (w *writer) next() {
	if w.s.Override != nil {
		return
	}
	for i := range w.e.Next[:min(len(w.e.Next), maxNextSaid)] {
		w.add("%s", w.change(&w.e.Next[i]))
	}
}

// change says one change that may follow.
func (w *writer) change(c *Change) string {
	what := "it becomes " + statusWithCause(c.To, c.Cause)
	switch {
	case c.Removed:
		what = "it is removed"
	case c.Unconfirmed:
		what = "it is " + c.To.String() + " and unconfirmed"
	case w.s.Unconfirmed && c.To == w.s.Status && c.Unless == "":
		what = "it is confirmed as " + statusWithCause(c.To, c.Cause)
	}
	text := capital(what)
	if !c.At.IsZero() {
		text = "In " + brief(c.At.Sub(w.input.Now)) + " " + what
	}
	if c.If != "" {
		text += " if " + c.If
	}
	if c.Unless != "" {
		text += ", unless " + c.Unless
	}
	return text
}
