package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Explanation says whether an identity may use a verb on a name, and why.
type Explanation struct {
	Allowed bool
	// Rule is the name of the rule that decides. It is empty if the verb is refused, and for the status of
	// the coordinator itself, which everybody may read.
	Rule string
	// Detail is how much may be read. It is Hidden for other verbs than VerbRead.
	Detail Detail
	// Endpoints describes where instances may be registered, and NumInstances says how many. Both are zero for
	// other verbs than VerbRegister.
	Endpoints    string
	NumInstances int
	// Longest is the longest time of an override. It is 0 for other verbs than VerbOverride.
	Longest time.Duration
	// OwnOnly means that the verb is allowed only on instances that the identity itself has registered. It is false for
	// other verbs than VerbReport.
	OwnOnly bool
	// ForOthers are the rules that allow the verb on the name, but not to this identity. ForOtherNames are those
	// that allow the verb to the identity, but not on this name. Both are empty if the verb is allowed.
	ForOthers, ForOtherNames []*Rule
}

// Explain says whether an identity may use a verb on a name. An empty identity means a caller without one.
func (c *Compiled) Explain(identity string, verb Verb, name Name) Explanation {
	r := c.For(identity)
	e := Explanation{}
	e.Rule, e.Allowed = r.Allows(verb, name)
	switch verb {
	case VerbRead:
		e.Detail, e.Rule = r.Read(name)
		e.Allowed = e.Detail > Hidden
	case VerbRegister:
		if e.Allowed {
			e.Endpoints, e.NumInstances = r.Endpoints(name, netip.Addr{}), r.Instances()
		}
	case VerbReport:
		e.OwnOnly = e.Allowed && !r.ReportsOthers(name)
	case VerbOverride:
		e.Longest = r.LongestOverride(name)
	}
	if e.Allowed {
		return e
	}
	for i := range c.policy.Rules {
		rule := &c.policy.Rules[i]
		one := &Rights{}
		one.add(rule)
		_, onName := one.Allows(verb, name)
		switch {
		case onName:
			e.ForOthers = append(e.ForOthers, rule)
		case rule.includes(identity) && one.CheckAny(verb) == nil:
			e.ForOtherNames = append(e.ForOtherNames, rule)
		}
	}
	return e
}

// includes reports whether a rule is about an identity.
func (r *Rule) includes(identity string) bool {
	return slices.ContainsFunc(r.Who, func(who string) bool { return includes(who, identity) })
}

// CheckIdentity returns an error if no caller can have a text as its identity under this policy.
func (c *Compiled) CheckIdentity(text string) error {
	if text == anyone || text == authenticated || strings.Contains(text, wildcard) {
		return fmt.Errorf("%q is no identity; allowed: %s", text, identityForms)
	}
	if err := c.policy.checkWho(text); err != nil {
		return err
	}
	if strings.HasPrefix(text, spiffePrefix) {
		_, err := c.spiffeIdentity(text)
		return err
	}
	return nil
}
