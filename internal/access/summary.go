package access

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Summary returns what a rule allows: one text for each verb, in the order of [Verbs].
func (r *Rule) Summary() (texts []string) {
	add := func(verb Verb, services []string, more string) {
		text := verb.String() + " " + strings.Join(services, ", ")
		if more != "" {
			text += " (" + more + ")"
		}
		texts = append(texts, text)
	}
	if g := r.Register; g != nil {
		var d describer
		d.add(g)
		add(VerbRegister, g.Services, fmt.Sprintf("at %s; up to %d instances", strings.Join(d.texts, ""), cmp.Or(g.Instances, DefaultInstances)))
	}
	if g := r.Report; g != nil {
		add(VerbReport, g.Services, "")
	}
	if g := r.Read; g != nil {
		add(VerbRead, g.Services, "detail "+max(Status, g.Detail).String())
	}
	if g := r.Route; g != nil {
		add(VerbRoute, g.Services, "")
	}
	if g := r.Override; g != nil {
		add(VerbOverride, g.Services, "up to "+Short(cmp.Or(g.Longest, LongestOverride)))
	}
	if r.Admin {
		texts = append(texts, VerbAdmin.String())
	}
	return texts
}

// Services returns the patterns of the services on which a rule allows a verb. VerbAdmin has none.
func (r *Rule) Services(verb Verb) (patterns []string) {
	for _, g := range r.grants() {
		if g.verb == verb {
			patterns = append(patterns, g.services...)
		}
	}
	return patterns
}

// Short returns a duration without units that are zero at its end, such as 4h.
func Short(d time.Duration) string {
	text := d.String()
	for _, unit := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, unit) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// verbGrant is what a rule allows for one verb.
type verbGrant struct {
	verb     Verb
	services []string
	detail   Detail
	longest  time.Duration
	register *Register
}

// grants returns what a rule allows on services. The verb register includes report for own instances, and route
// includes read with the detail status.
func (r *Rule) grants() (all []verbGrant) {
	if g := r.Register; g != nil {
		all = append(all, verbGrant{verb: VerbRegister, services: g.Services, register: g}, verbGrant{verb: VerbReport, services: g.Services})
	}
	if g := r.Report; g != nil {
		all = append(all, verbGrant{verb: VerbReport, services: g.Services}, verbGrant{verb: verbReportOthers, services: g.Services})
	}
	if g := r.Read; g != nil {
		all = append(all, verbGrant{verb: VerbRead, services: g.Services, detail: max(Status, g.Detail)})
	}
	if g := r.Route; g != nil {
		all = append(all, verbGrant{verb: VerbRoute, services: g.Services}, verbGrant{verb: VerbRead, services: g.Services, detail: Status})
	}
	if g := r.Override; g != nil {
		all = append(all, verbGrant{verb: VerbOverride, services: g.Services, longest: cmp.Or(g.Longest, LongestOverride)})
	}
	return all
}
