package access

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Warning is something in a policy that is allowed, and probably not meant.
type Warning struct {
	// Field is the path of what the warning is about, such as rules[2].who.
	Field string
	Text  string
}

// maxComparisons limits the comparisons with which Warnings looks for useless rules.
const maxComparisons = 100_000_000

// Warnings returns what is probably not meant in a checked policy: tokens with two values, rules that let anyone
// change something, and rules that allow nothing beyond another rule.
func (p *Policy) Warnings() (all []Warning) {
	warn := func(field, format string, args ...any) {
		all = append(all, Warning{field, fmt.Sprintf(format, args...)})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Tokens)) {
		if n := len(p.Tokens[name]); n > 1 {
			warn("tokens."+name, "has %d values; remove the old one when all callers have the new one", n)
		}
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if verbs := r.changes(); len(verbs) > 0 && slices.Contains(r.Who, anyone) {
			warn(fmt.Sprintf("rules[%d].who", i), "%s lets everybody %s, also callers without an identity", r.Name, strings.Join(verbs, ", "))
		}
	}
	c := comparison{left: maxComparisons}
	for i := range p.Rules {
		if j := c.covering(p.Rules, i); j >= 0 {
			warn(fmt.Sprintf("rules[%d]", i), "%s allows nothing that rules[%d], %s, does not allow too; remove one of them", p.Rules[i].Name, j, p.Rules[j].Name)
		}
	}
	if c.left <= 0 {
		warn("rules", "are too many to compare all of them, so some useless rules may not be named")
	}
	return all
}

// changes returns the verbs of a rule with which callers change something.
func (r *Rule) changes() (verbs []string) {
	if r.Register != nil {
		verbs = append(verbs, VerbRegister.String())
	}
	if r.Override != nil {
		verbs = append(verbs, VerbOverride.String())
	}
	if r.Admin {
		verbs = append(verbs, VerbAdmin.String())
	}
	return verbs
}

// comparison compares rules until it has made a number of comparisons.
type comparison struct{ left int }

// covering returns the index of a rule that allows everything that rule i allows, or -1. Of rules that allow
// the same, only the later ones are covered.
func (c *comparison) covering(rules []Rule, i int) int {
	for j := range rules {
		if c.left <= 0 {
			return -1
		}
		if j != i && c.covers(&rules[j], &rules[i]) && (j < i || !c.covers(&rules[i], &rules[j])) {
			return j
		}
	}
	return -1
}

// covers reports whether rule a allows everything that rule b allows.
func (c *comparison) covers(a, b *Rule) bool {
	if b.Admin && !a.Admin || !all(c, a.Who, b.Who, coversWho) {
		return false
	}
	has := a.grants()
	for _, g := range b.grants() {
		if !slices.ContainsFunc(has, func(h verbGrant) bool { return c.coversGrant(&h, &g) }) {
			return false
		}
	}
	return true
}

func (c *comparison) coversGrant(a, b *verbGrant) bool {
	return a.verb == b.verb && a.detail >= b.detail && a.longest >= b.longest &&
		(b.register == nil || c.coversRegister(a.register, b.register)) &&
		all(c, a.services, b.services, func(x, y string) bool { return matches(x, y, '.') })
}

// all reports whether each entry of b is covered by an entry of a.
func all[E any](c *comparison, a, b []E, covers func(x, y E) bool) bool {
	for _, y := range b {
		if !slices.ContainsFunc(a, func(x E) bool { c.left--; return covers(x, y) }) {
			return false
		}
	}
	return true
}

func (c *comparison) coversRegister(a, b *Register) bool {
	if b.Peer && !a.Peer || cmp.Or(a.Instances, DefaultInstances) < cmp.Or(b.Instances, DefaultInstances) {
		return false
	}
	contains := func(m, n netip.Prefix) bool { return m.Bits() <= n.Bits() && m.Contains(n.Addr()) }
	if !all(c, a.Addresses, b.Addresses, contains) ||
		!all(c, append(slices.Clip(a.Addresses), a.ProvenAddresses...), b.ProvenAddresses, contains) {
		return false
	}
	if len(a.Ports) == 0 {
		return true
	}
	for _, p := range b.Ports {
		if !slices.ContainsFunc(a.Ports, func(q Ports) bool { c.left--; return q.First <= p.First && p.Last <= q.Last }) {
			return false
		}
	}
	return len(b.Ports) > 0
}

// coversWho reports whether an entry of Rule.Who includes all identities of another one. A pattern matches
// another pattern as a text only if it matches everything that the other one matches.
func coversWho(a, b string) bool {
	return b != anyone && includes(a, b) || a == anyone
}
