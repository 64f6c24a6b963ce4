package access

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meshhealth/meshhealth/internal/fields"
)

// Compiled is a checked policy.
type Compiled struct {
	policy *Policy
	tokens map[TokenHash]string // identity by the hash of a token
}

// maxFaults is the number of faults after which no further rule is checked. A policy of 16 MiB can have
// millions of them.
const maxFaults = 1000

// Compile checks a policy. It returns its faults, by field, such as `rules[2].read.services[0]`: all of them, or
// at least 1000. The policy must not be modified later.
func Compile(p *Policy) (*Compiled, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	c := &Compiled{policy: p, tokens: map[TokenHash]string{}}
	for name, values := range p.Tokens {
		for _, v := range values {
			c.tokens[v] = tokenPrefix + name
		}
	}
	return c, nil
}

// Policy returns the policy that was compiled. It must not be modified.
func (c *Compiled) Policy() *Policy { return c.policy }

// TokenIdentity returns the identity of the token with a hash. ok is false for an unknown token.
func (c *Compiled) TokenIdentity(h TokenHash) (identity string, ok bool) {
	identity, ok = c.tokens[h]
	return identity, ok
}

// TokenValues returns the hashes of a token, by its identity. It returns none for another kind of identity.
func (c *Compiled) TokenValues(identity string) []TokenHash {
	name, is := TokenName(identity)
	if !is {
		return nil
	}
	return c.policy.Tokens[name]
}

func (p *Policy) check() error {
	var errs fields.Errors
	if strings.ContainsAny(p.TrustDomain, "/*") || len(p.TrustDomain) > MaxPattern {
		errs.Addf("trust_domain", "is %.64q; allowed: a name such as example.org", p.TrustDomain)
	}
	p.checkTokens(&errs)
	if len(p.Rules) > MaxRules {
		errs.Addf("rules", "has %d rules; allowed: at most %d", len(p.Rules), MaxRules)
		return errs.Join()
	}
	first := map[string]int{}
	for i := range p.Rules {
		if len(errs) > maxFaults {
			break
		}
		r := &p.Rules[i]
		at := fmt.Sprintf("rules[%d]", i)
		if err := checkText(r.Name); err != nil {
			errs.Add(at+".name", err)
		} else if before, twice := first[r.Name]; twice {
			errs.Addf(at+".name", "%q is the name of rules[%d] too; allowed: a name of its own", r.Name, before)
		} else {
			first[r.Name] = i
		}
		p.checkRule(&errs, at, r)
	}
	return errs.Join()
}

func (p *Policy) checkTokens(errs *fields.Errors) {
	if len(p.Tokens) > MaxTokens {
		errs.Addf("tokens", "has %d names; allowed: at most %d", len(p.Tokens), MaxTokens)
		return
	}
	owner := map[TokenHash]string{}
	names := make([]string, 0, len(p.Tokens))
	for name := range p.Tokens {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		at := "tokens." + name
		errs.Add(at, checkText(name))
		if n := len(p.Tokens[name]); n == 0 || n > MaxTokenValues {
			errs.Addf(at, "has %d values; allowed: 1, or 2 while the token is replaced", n)
		}
		for _, h := range p.Tokens[name] {
			if other, twice := owner[h]; twice {
				errs.Addf(at, "has a value that tokens.%s has too; allowed: values of its own", other)
			}
			owner[h] = name
		}
	}
}

func (p *Policy) checkRule(errs *fields.Errors, at string, r *Rule) {
	checkList(errs, at+".who", r.Who, p.checkWho)
	if r.Register == nil && r.Report == nil && r.Read == nil && r.Route == nil && r.Override == nil && !r.Admin {
		errs.Addf(at, "allows nothing; allowed: register, report, read, route, override or admin")
	}
	if r.Register != nil {
		r.Register.check(errs, at+".register")
	}
	if r.Report != nil {
		checkList(errs, at+".report.services", r.Report.Services, checkServicePattern)
	}
	if r.Read != nil {
		checkList(errs, at+".read.services", r.Read.Services, checkServicePattern)
		if r.Read.Detail > Evidence {
			errs.Addf(at+".read.detail", "is %d; allowed: status, reason, evidence", r.Read.Detail)
		}
	}
	if r.Route != nil {
		checkList(errs, at+".route.services", r.Route.Services, checkServicePattern)
	}
	if r.Override != nil {
		checkList(errs, at+".override.services", r.Override.Services, checkServicePattern)
		if d := r.Override.Longest; d < 0 || d > LongestOverride {
			errs.Addf(at+".override.max", "is %v; allowed: up to %v", d, LongestOverride)
		}
	}
}

func (r *Register) check(errs *fields.Errors, at string) {
	checkList(errs, at+".services", r.Services, checkServicePattern)
	if len(r.Addresses) == 0 && len(r.ProvenAddresses) == 0 && !r.Peer {
		errs.Addf(at+".addresses", "is empty; allowed: peer, and networks such as 10.0.0.0/8")
	}
	checkNetworks(errs, at+".addresses", r.Addresses)
	checkNetworks(errs, at+".proven_addresses", r.ProvenAddresses)
	if len(r.Ports) > MaxPatterns {
		errs.Addf(at+".ports", "has %d ranges; allowed: at most %d", len(r.Ports), MaxPatterns)
	}
	for i, p := range r.Ports {
		if p.First == 0 || p.Last < p.First {
			errs.Addf(fmt.Sprintf("%s.ports[%d]", at, i), "is %d-%d; allowed: 1-65535, the smaller first", p.First, p.Last)
		}
	}
	if r.Instances < 0 || r.Instances > MaxInstances {
		errs.Addf(at+".instances", "is %d; allowed: 1 to %d", r.Instances, MaxInstances)
	}
}

func checkNetworks(errs *fields.Errors, at string, networks []netip.Prefix) {
	if len(networks) > MaxPatterns {
		errs.Addf(at, "has %d networks; allowed: at most %d", len(networks), MaxPatterns)
	}
	for i, n := range networks {
		errs.Add(fmt.Sprintf("%s[%d]", at, i), checkNetwork(n))
	}
}

func checkList(errs *fields.Errors, at string, list []string, check func(string) error) {
	switch {
	case len(list) == 0:
		errs.Add(at, errors.New("is empty; allowed: at least one"))
	case len(list) > MaxPatterns:
		errs.Addf(at, "has %d entries; allowed: at most %d", len(list), MaxPatterns)
		return
	}
	for i, text := range list {
		errs.Add(fmt.Sprintf("%s[%d]", at, i), check(text))
	}
}

// For returns the rights of an identity; empty means a caller without one. The time grows with the size
// of the policy, so callers keep the result.
func (c *Compiled) For(identity string) *Rights {
	r := &Rights{identity: identity}
	for i := range c.policy.Rules {
		rule := &c.policy.Rules[i]
		if rule.includes(identity) {
			r.add(rule)
		}
	}
	return r
}

// add adds what a rule allows.
func (r *Rights) add(rule *Rule) {
	r.rules = append(r.rules, rule)
	for _, g := range rule.grants() {
		r.verbs[g.verb].add(g.services, grant{rule: rule, detail: g.detail, longest: g.longest, register: g.register})
	}
	if g := rule.Register; g != nil {
		r.instances = max(r.instances, cmp.Or(g.Instances, DefaultInstances))
	}
	if rule.Admin && r.admin == nil {
		r.admin = rule
	}
}
