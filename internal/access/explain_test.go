package access

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// example is a policy with a rule for each verb.
func example() *Policy {
	return &Policy{
		TrustDomain: "d", Tokens: map[string][]TokenHash{"ops": {{1}, {2}}},
		Rules: []Rule{
			{Name: "pay", Who: []string{"spiffe://d/pay"}, Register: &Register{
				Services: []string{"pay.*"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Peer: true,
				Ports: []Ports{{7000, 7999}, {443, 443}}, Instances: 20,
			}},
			{Name: "all", Who: []string{"spiffe://d/*"}, Read: &Read{Services: []string{"*"}}},
			{Name: "edge", Who: []string{"spiffe://d/edge/*"}, Route: &Services{[]string{"pay.*", "db"}}},
			{Name: "why", Who: []string{"spiffe://d/pay"}, Read: &Read{[]string{"pay.*"}, Reason}},
			{Name: "reports", Who: []string{"authenticated"}, Report: &Services{[]string{"db"}}},
			{Name: "ops", Who: []string{"token:ops"}, Override: &Override{[]string{"*"}, 90 * time.Minute}, Admin: true},
		},
	}
}

func namesOf(rules []*Rule) string {
	var names []string
	for _, r := range rules {
		names = append(names, r.Name)
	}
	return strings.Join(names, " ")
}

func TestExplain(t *testing.T) {
	const at = "the address that you call from, 10.0.0.0/8, with the ports 7000-7999, 443"
	c := compiled(t, example())
	for _, q := range []struct {
		identity string
		verb     Verb
		name     string
		want     Explanation
		others   string // rules in ForOthers
		names    string // rules in ForOtherNames
	}{
		{"spiffe://d/pay", VerbRegister, "pay.v1/a", Explanation{Allowed: true, Rule: "pay", Endpoints: at, NumInstances: 20}, "", ""},
		{"spiffe://d/pay", VerbRegister, "db", Explanation{}, "", "pay"},
		{"spiffe://d/db", VerbRegister, "pay.v1", Explanation{}, "pay", ""},
		{"", VerbRegister, "*", Explanation{}, "", ""},
		{"spiffe://d/pay", VerbReport, "pay.v1", Explanation{Allowed: true, Rule: "pay", OwnOnly: true}, "", ""},
		{"spiffe://d/pay", VerbReport, "db", Explanation{Allowed: true, Rule: "reports"}, "", ""},
		{"spiffe://d/x", VerbReport, "pay.v1", Explanation{}, "pay", "reports"},
		{"spiffe://d/x", VerbRead, "*", Explanation{Allowed: true, Rule: "all", Detail: Status}, "", ""},
		{"spiffe://d/pay", VerbRead, "pay.v1", Explanation{Allowed: true, Rule: "why", Detail: Reason}, "", ""},
		{"token:ops", VerbRead, "pay.v1", Explanation{}, "all edge why", ""},
		{"", VerbRead, "", Explanation{Allowed: true, Detail: Status}, "", ""},
		{"spiffe://d/edge/1", VerbRead, "x", Explanation{Allowed: true, Rule: "all", Detail: Status}, "", ""},
		{"spiffe://d/edge/1", VerbRoute, "db", Explanation{Allowed: true, Rule: "edge"}, "", ""},
		{"spiffe://d/edge/1", VerbRoute, "x", Explanation{}, "", "edge"},
		{"token:ops", VerbOverride, "*/@eu", Explanation{Allowed: true, Rule: "ops", Longest: 90 * time.Minute}, "", ""},
		{"unix:uid=0", VerbOverride, "db", Explanation{}, "ops", ""},
		{"token:ops", VerbAdmin, "", Explanation{Allowed: true, Rule: "ops"}, "", ""},
		{"", VerbAdmin, "", Explanation{}, "ops", ""},
	} {
		got := c.Explain(q.identity, q.verb, Of(health.ParseID(q.name)))
		if o, n := namesOf(got.ForOthers), namesOf(got.ForOtherNames); o != q.others || n != q.names {
			t.Errorf("%q %v %q: rules for others %q, for other names %q; want %q, %q", q.identity, q.verb, q.name, o, n, q.others, q.names)
		}
		got.ForOthers, got.ForOtherNames = nil, nil
		if got.Allowed != q.want.Allowed || got.Rule != q.want.Rule || got.Detail != q.want.Detail || got.Endpoints != q.want.Endpoints ||
			got.NumInstances != q.want.NumInstances || got.Longest != q.want.Longest || got.OwnOnly != q.want.OwnOnly {
			t.Errorf("%q %v %q: %+v, want %+v", q.identity, q.verb, q.name, got, q.want)
		}
	}
}

func TestCheckIdentity(t *testing.T) {
	c := compiled(t, example())
	for text, want := range map[string]string{
		"spiffe://d/pay": "", "token:ops": "", "unix:uid=7": "", "ext:ann": "",
		"spiffe://e/pay": `is of the trust domain "e"`, "spiffe://d/a%": "is no SPIFFE ID", "spiffe://d/*": "is no identity", "token:dev": "is not in tokens", "unix:uid=x": "no user number",
		"dns:a": "allow_dns_names is false", "authenticated": "is no identity", "anyone": "is no identity", "": "is empty", "ann": "is no identity",
	} {
		switch err := c.CheckIdentity(text); {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestSummary(t *testing.T) {
	want := []string{
		"register pay.* (at the address that you call from, 10.0.0.0/8, with the ports 7000-7999, 443; up to 20 instances)",
		"read * (detail status)", "route pay.*, db", "read pay.* (detail reason)", "report db", "override * (up to 1h30m); admin",
	}
	p := example()
	for i := range p.Rules {
		if got := strings.Join(p.Rules[i].Summary(), "; "); got != want[i] {
			t.Errorf("%s: %q, want %q", p.Rules[i].Name, got, want[i])
		}
	}
}

func TestWarnings(t *testing.T) {
	rule := func(name, who string, read Detail) Rule {
		return Rule{Name: name, Who: []string{who}, Read: &Read{[]string{"*"}, read}}
	}
	for _, c := range []struct {
		rules []Rule
		want  string // the fields of the warnings
	}{
		{[]Rule{rule("a", "anyone", Status), rule("b", "token:ops", Status)}, "rules[1]"},
		{[]Rule{rule("a", "token:ops", Status), rule("b", "anyone", Status)}, "rules[0]"},
		{[]Rule{rule("a", "anyone", Status), rule("b", "token:ops", Reason)}, ""},
		{[]Rule{rule("a", "authenticated", Reason), rule("b", "spiffe://d/x", 0), rule("c", "anyone", Status)}, "rules[1]"},
		{[]Rule{rule("a", "spiffe://d/*", Status), rule("b", "spiffe://d/x/*", Status)}, "rules[1]"},
		{[]Rule{rule("a", "spiffe://d/*/y", Status), rule("b", "spiffe://d/*", Status)}, "rules[0]"},
		{[]Rule{rule("a", "spiffe://d/*/y", Status), rule("b", "spiffe://d/x/*", Status)}, ""},
		{[]Rule{rule("a", "token:ops", Status), rule("b", "token:ops", Status)}, "rules[1]"},
		{[]Rule{{Name: "a", Who: []string{"anyone"}, Route: &Services{[]string{"*"}}}, rule("b", "token:ops", Status)}, "rules[1]"},
		{[]Rule{{Name: "a", Who: []string{"anyone"}, Admin: true}}, "rules[0].who"},
		{[]Rule{{Name: "a", Who: []string{"token:ops", "anyone"}, Register: &Register{Services: []string{"x"}, Peer: true}}}, "rules[0].who"},
		{[]Rule{{Name: "a", Who: []string{"anyone"}, Override: &Override{Services: []string{"x"}}}}, "rules[0].who"},
		{[]Rule{{Name: "a", Who: []string{"anyone"}, Report: &Services{[]string{"x"}}}}, ""},
	} {
		p := &Policy{Tokens: map[string][]TokenHash{"ops": {{1}}}, Rules: c.rules}
		compiled(t, p)
		var fields []string
		for _, w := range p.Warnings() {
			fields = append(fields, w.Field)
		}
		if got := strings.Join(fields, " "); got != c.want {
			t.Errorf("%s: warnings for %q, want %q", namesOf([]*Rule{&c.rules[0]}), got, c.want)
		}
	}
	p := example()
	if w := p.Warnings(); len(w) != 1 || w[0].Field != "tokens.ops" {
		t.Errorf("%+v, want a warning about the token with two values", w)
	}
}

// TestUselessRules checks with random policies that nothing changes without a rule that is named as useless.
func TestUselessRules(t *testing.T) {
	seed, found := rand.Uint64(), 0
	t.Logf("seed %d", seed)
	s := source{rand.New(rand.NewPCG(seed, 0))}
	for range 3000 {
		p := s.policy()
		c := compiled(t, p)
		for _, w := range p.Warnings() {
			index, isRule := strings.CutPrefix(w.Field, "rules[")
			i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
			if !isRule || err != nil {
				continue
			}
			found++
			less := compiled(t, &Policy{Tokens: p.Tokens, Rules: slices.Delete(slices.Clone(p.Rules), i, i+1)})
			for range 40 {
				identity, name := s.identity(), service(s.one(s.service(), s.service(), "*"))
				e := Endpoint{IP: s.addr(), Peer: s.addr(), Port: uint16(1 + s.IntN(4))}
				before, after := c.For(identity), less.For(identity)
				_, was := before.MayRegister(name, e)
				_, is := after.MayRegister(name, e)
				same := was == is && before.Detail(name) == after.Detail(name) && before.Instances() == after.Instances() &&
					before.LongestOverride(name) == after.LongestOverride(name)
				for _, verb := range Verbs() {
					_, was := before.Allows(verb, name)
					_, is := after.Allows(verb, name)
					same = same && was == is
				}
				if !same {
					t.Fatalf("%+v: %s; but %q has other rights to %v without it", p, w.Text, identity, name)
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("%d useless rules, want 100 or more to compare", found)
	}
}
