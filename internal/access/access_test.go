package access

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
)

func compiled(tb testing.TB, p *Policy) *Compiled {
	tb.Helper()
	c, err := Compile(p)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func service(name string) Name { return Of(health.ID{Service: name}) }

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"*", []string{"a", "a.b", "a.b.c"}, nil},
		{"a", []string{"a"}, []string{"aa", "a.b", "b", "A"}},
		{"a.*", []string{"a.b", "a.b.c"}, []string{"a", "b.a", "aa.b"}},
		{"*.b", []string{"a.b", "c.b"}, []string{"b", "a.b.c", "a.a.b"}},
		{"*.*", []string{"a.b", "a.b.c"}, []string{"a"}},
		{"a.*.c", []string{"a.b.c"}, []string{"a.c", "a.b.b.c", "a.b.c.d"}},
	} {
		r := compiled(t, &Policy{Rules: []Rule{{Name: "r", Who: []string{"anyone"}, Route: &Services{[]string{c.pattern}}}}}).For("")
		for want, names := range map[bool][]string{true: c.yes, false: c.no} {
			for _, name := range names {
				if _, got := r.Allows(VerbRoute, service(name)); got != want {
					t.Errorf("%s, %s: %v, want %v", c.pattern, name, got, want)
				}
			}
		}
	}
}

func TestWho(t *testing.T) {
	for _, c := range []struct {
		who     string
		yes, no []string
	}{
		{"anyone", []string{"", "token:ops", "unix:uid=0", "spiffe://d/a"}, nil},
		{"authenticated", []string{"token:ops", "unix:uid=0", "spiffe://d/a", "ext:x"}, []string{""}},
		{
			"spiffe://d/ns/*/sa/*",
			[]string{"spiffe://d/ns/a/sa/b", "spiffe://d/ns/a/sa/b/c"},
			[]string{"", "spiffe://d/ns/a/sa", "spiffe://e/ns/a/sa/b", "dns:d/ns/a/sa/b", "spiffe://d/ns/a/b/sa/c"},
		},
		{"spiffe://d/edge", []string{"spiffe://d/edge"}, []string{"spiffe://d/edge/1", "spiffe://d/edgex"}},
		{"dns:*.example.org", []string{"dns:a.example.org"}, []string{"dns:a.b.example.org", "dns:example.org", "spiffe://a.example.org"}},
		{"token:ops", []string{"token:ops"}, []string{"token:ops2", "unix:uid=0"}},
		{"unix:uid=0", []string{"unix:uid=0"}, []string{"unix:uid=1000"}},
		{"ext:a", []string{"ext:a"}, []string{"ext:ab"}},
	} {
		p := &Policy{AllowDNSNames: true, Tokens: map[string][]TokenHash{"ops": {{1}}}, Rules: []Rule{{Name: "r", Who: []string{c.who}, Admin: true}}}
		all := compiled(t, p)
		for want, list := range map[bool][]string{true: c.yes, false: c.no} {
			for _, identity := range list {
				if _, got := all.For(identity).Allows(VerbAdmin, Name{}); got != want {
					t.Errorf("%s, %q: %v, want %v", c.who, identity, got, want)
				}
			}
		}
	}
}

// TestGeneralNames: only a right for all services decides about the mesh, zones and scopes without a service.
func TestGeneralNames(t *testing.T) {
	r := compiled(t, &Policy{Rules: []Rule{
		{Name: "two", Who: []string{"anyone"}, Read: &Read{Services: []string{"a", "*.*"}, Detail: Reason}, Override: &Override{Services: []string{"a"}}},
		{Name: "all", Who: []string{"token:all"}, Read: &Read{Services: []string{"*"}}, Override: &Override{Services: []string{"*"}, Longest: time.Hour}},
	}, Tokens: map[string][]TokenHash{"all": {{1}}}})
	few, all := r.For(""), r.For("token:all")
	for _, c := range []struct {
		name     Name
		few, all Detail
	}{
		{Name{}, Status, Status},
		{Everything, Hidden, Status},
		{Of(health.ZoneID(health.MeshName, "eu")), Hidden, Status},
		{Of(health.ZoneID("a", "eu")), Reason, Reason},
		{Of(health.ID{Service: "a", Instance: "1"}), Reason, Reason},
		{service("a"), Reason, Reason},
		{service("b"), Hidden, Status},
		{OfScope(health.Scope{Zone: "eu"}), Hidden, Status},
		{OfScope(health.Scope{Service: "a", Zone: "eu"}), Reason, Reason},
	} {
		if f, a := few.Detail(c.name), all.Detail(c.name); f != c.few || a != c.all {
			t.Errorf("%v: %v and %v, want %v and %v", c.name, f, a, c.few, c.all)
		}
	}
	if few.ReadsAll() || !all.ReadsAll() {
		t.Error("ReadsAll is wrong")
	}
	if d := few.LongestOverride(OfScope(health.Scope{Zone: "eu"})); d != 0 {
		t.Errorf("an override of a zone for %v, want none", d)
	}
	if d := all.LongestOverride(service("a")); d != LongestOverride {
		t.Errorf("the longest override takes %v, want %v", d, LongestOverride)
	}
}

func TestMayRegister(t *testing.T) {
	r := compiled(t, &Policy{Rules: []Rule{
		{Name: "peer", Who: []string{"anyone"}, Register: &Register{Services: []string{"pay"}, Peer: true, Ports: []Ports{{7000, 7999}, {80, 80}}}},
		{Name: "import", Who: []string{"anyone"}, Register: &Register{Services: []string{"*"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, Ports: []Ports{{443, 443}}, Instances: 5}},
		{Name: "mesh", Who: []string{"anyone"}, Register: &Register{Services: []string{"mesh"}, Peer: true, ProvenAddresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}}},
	}}).For("")
	peer := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		service, ip string
		port        uint16
		rule        string
		placed      Placement
	}{
		{"pay", "192.0.2.1", 7000, "peer", PlacedAtPeer},
		{"pay", "::ffff:192.0.2.1", 7999, "peer", PlacedAtPeer},
		{"pay", "192.0.2.1", 80, "peer", PlacedAtPeer},
		{"pay", "192.0.2.1", 8000, "", NotPlaced},
		{"pay", "192.0.2.2", 7000, "", NotPlaced},
		{"pay", "10.1.2.3", 443, "import", PlacedInNetwork},
		{"pay", "10.1.2.3", 7000, "", NotPlaced},
		{"other", "fd00::1", 443, "import", PlacedInNetwork},
		{"other", "192.0.2.1", 7000, "", NotPlaced},
		{"pay", "", 443, "import", PlacedIfProven},
		{"pay", "", 7000, "", NotPlaced},
		{"mesh", "192.0.2.1", 1, "mesh", PlacedAtPeer},
		{"mesh", "192.0.2.2", 1, "mesh", PlacedIfProven},
		{"mesh", "10.1.2.3", 1, "mesh", PlacedIfProven},
		{"mesh", "10.1.2.3", 443, "import", PlacedInNetwork},
		{"mesh", "198.51.100.1", 1, "", NotPlaced},
		{"mesh", "", 1, "mesh", PlacedIfProven},
	} {
		var ip netip.Addr
		if c.ip != "" {
			ip = netip.MustParseAddr(c.ip)
		}
		if rule, placed := r.MayRegister(service(c.service), Endpoint{IP: ip, Port: c.port, Peer: peer}); rule != c.rule || placed != c.placed {
			t.Errorf("%s at %s:%d: %q, %d, want %q, %d", c.service, c.ip, c.port, rule, placed, c.rule, c.placed)
		}
	}
	if r.Instances() != DefaultInstances {
		t.Errorf("%d instances", r.Instances())
	}
}

func TestCheck(t *testing.T) {
	c := compiled(t, &Policy{Rules: []Rule{{Name: "r", Who: []string{"anyone"}, Read: &Read{Services: []string{"pay"}, Detail: Reason}, Report: &Services{[]string{"pay"}}}}})
	r := c.For("spiffe://d/x")
	for _, one := range []struct {
		err  error
		is   error
		want string
	}{
		{r.Check(VerbReport, service("pay")), nil, ""},
		{r.Check(VerbRegister, service("pay")), domain.ErrNotAllowed, "not allowed: spiffe://d/x may not register pay; allowed: what a rule of the access policy says"},
		{c.For("").Check(VerbAdmin, Name{}), domain.ErrNotAllowed, "a caller without an identity"},
		{r.CheckDetail(service("pay"), Reason), nil, ""},
		{r.CheckDetail(service("pay"), Evidence), domain.ErrNotAllowed, "evidence"},
		{r.CheckDetail(service("db"), Status), domain.ErrNotFound, `service "db"`},
		{r.CheckDetail(service("db"), Evidence), domain.ErrNotFound, `service "db"`},
		{r.CheckDetail(Name{}, Status), nil, ""},
		{r.CheckDetail(Name{}, Evidence), domain.ErrNotAllowed, "evidence"},
		{r.CheckDetail(Everything, Status), domain.ErrNotAllowed, "status"},
	} {
		switch {
		case one.is == nil && one.err != nil, one.is != nil && !errors.Is(one.err, one.is), one.err != nil && !strings.Contains(one.err.Error(), one.want):
			t.Errorf("%v, want %v %q", one.err, one.is, one.want)
		}
	}
}

// TestCompileRefuses: each fault of a policy is named by its field, with what is allowed.
func TestCompileRefuses(t *testing.T) {
	rule := func(change func(*Rule)) *Policy {
		r := Rule{Name: "r", Who: []string{"anyone"}, Read: &Read{Services: []string{"*"}}}
		change(&r)
		return &Policy{Rules: []Rule{r}}
	}
	reads := func(pattern string) *Policy {
		return rule(func(r *Rule) { r.Read.Services = []string{pattern} })
	}
	who := func(text string) *Policy { return rule(func(r *Rule) { r.Who = []string{text} }) }
	for _, c := range []struct {
		policy *Policy
		want   string
	}{
		{reads("a*"), "rules[0].read.services[0]: \"a*\" has \"a*\", and * stands for whole segments only"},
		{reads("a..b"), "rules[0].read.services[0]: \"a..b\" has an empty segment"},
		{reads(""), "rules[0].read.services[0]: is empty"},
		{reads("a/b"), "rules[0].read.services[0]: \"a/b\" has '/' in it"},
		{reads("ä"), "has 'ä' in it"},
		{reads(strings.Repeat("a.", 300) + "a"), "has 601 bytes"},
		{reads(strings.Repeat("a.", 40) + "a"), "has 41 segments"},
		{who("root"), "rules[0].who[0]: \"root\" is no identity; allowed: spiffe://"},
		{who("spiffe://*/a"), "has * in its trust domain"},
		{who("spiffe://d"), "has no path"},
		{who("spiffe://d/a*"), "whole segments only"},
		{who("dns:a"), "allow_dns_names is false"},
		{who("token:x"), "is not in tokens"},
		{who("unix:uid=root"), "has no user number"},
		{who("unix:uid=007"), "has no user number"},
		{who("ext:"), "is no identity"},
		{who("any one"), "printable characters without spaces"},
		{&Policy{TrustDomain: "d", Rules: []Rule{{Name: "r", Who: []string{"spiffe://e/x"}, Admin: true}}}, "is of the trust domain \"e\"; allowed: d"},
		{&Policy{TrustDomain: "d/x"}, "trust_domain: is"},
		{rule(func(r *Rule) { r.Who = nil }), "rules[0].who: is empty"},
		{rule(func(r *Rule) { r.Name = "" }), "rules[0].name: is empty"},
		{rule(func(r *Rule) { r.Read = nil }), "rules[0]: allows nothing"},
		{rule(func(r *Rule) { r.Read.Detail = 9 }), "rules[0].read.detail: is 9"},
		{rule(func(r *Rule) { r.Register = &Register{Services: []string{"*"}} }), "rules[0].register.addresses: is empty"},
		{rule(func(r *Rule) { r.Register = &Register{Services: []string{"*"}, Peer: true, Ports: []Ports{{2, 1}}} }), "rules[0].register.ports[0]: is 2-1"},
		{rule(func(r *Rule) { r.Register = &Register{Services: []string{"*"}, Peer: true, Instances: -1} }), "rules[0].register.instances: is -1"},
		{rule(func(r *Rule) {
			r.Register = &Register{Services: []string{"*"}, Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 8)}}
		}), "rules[0].register.addresses[0]"},
		{rule(func(r *Rule) { r.Override = &Override{[]string{"*"}, 10_000 * time.Hour} }), "rules[0].override.max: is 10000h"},
		{rule(func(r *Rule) { r.Report = &Services{} }), "rules[0].report.services: is empty"},
		{rule(func(r *Rule) { r.Route = &Services{make([]string, 1001)} }), "rules[0].route.services: has 1001 entries"},
		{&Policy{Rules: make([]Rule, MaxRules+1)}, "rules: has 10001 rules"},
		{&Policy{Rules: []Rule{{Name: "a", Who: []string{"anyone"}, Admin: true}, {Name: "a", Who: []string{"anyone"}, Admin: true}}}, "rules[1].name: \"a\" is the name of rules[0] too"},
		{&Policy{Tokens: map[string][]TokenHash{"a": {}}}, "tokens.a: has 0 values"},
		{&Policy{Tokens: map[string][]TokenHash{"a": {{1}, {2}, {3}}}}, "tokens.a: has 3 values"},
		{&Policy{Tokens: map[string][]TokenHash{"a": {{1}}, "b": {{1}}}}, "tokens.b: has a value that tokens.a has too"},
	} {
		if _, err := Compile(c.policy); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestBuiltIn(t *testing.T) {
	local := compiled(t, OpenLocal(nil, 0, 1000))
	open := compiled(t, Open(nil))
	at := Endpoint{IP: netip.MustParseAddr("127.0.0.1"), Port: 1, Peer: netip.MustParseAddr("127.0.0.1")}
	for _, c := range []struct {
		rights          *Rights
		override, admin bool
	}{
		{local.For(""), false, false},
		{local.For("unix:uid=1"), false, false},
		{local.For("unix:uid=0"), true, true},
		{local.For("unix:uid=1000"), true, true},
		{open.For(""), true, true},
	} {
		_, override := c.rights.Allows(VerbOverride, service("a"))
		_, admin := c.rights.Allows(VerbAdmin, Name{})
		_, route := c.rights.Allows(VerbRoute, service("a"))
		_, register := c.rights.MayRegister(service("a"), at)
		if override != c.override || admin != c.admin || !route || register == NotPlaced || c.rights.Detail(Everything) != Evidence {
			t.Errorf("%q: override %v, admin %v, route %v, register %v", c.rights.Identity(), override, admin, route, register)
		}
	}
	if _, far := local.For("").MayRegister(service("a"), Endpoint{IP: netip.MustParseAddr("10.0.0.1"), Port: 1}); far != NotPlaced {
		t.Error("open-local allows addresses beyond loopback")
	}
	if ReadStatus.Detail(Everything) != Status || ReadEvidence.Detail(service("a")) != Evidence {
		t.Error("the built-in rights are wrong")
	}
}

func TestEqual(t *testing.T) {
	of := func(detail Detail) *Compiled {
		return compiled(t, &Policy{Rules: []Rule{
			{Name: "a", Who: []string{"token:a"}, Read: &Read{[]string{"*"}, detail}},
			{Name: "b", Who: []string{"unix:uid=0"}, Admin: true},
		}, Tokens: map[string][]TokenHash{"a": {{1}}}})
	}
	before, after := of(Status), of(Reason)
	if before.For("token:a").Equal(after.For("token:a")) {
		t.Error("another detail is equal")
	}
	if !before.For("unix:uid=0").Equal(after.For("unix:uid=0")) || !before.For("").Equal(after.For("")) {
		t.Error("rights that did not change differ")
	}
	if before.For("").Equal(before.For("unix:uid=1")) {
		t.Error("two identities are equal")
	}
}

// large is a policy of 200 rules. The identity spiffe://d/ns/7/sa/x has rights by some of them.
func large() *Policy {
	p := &Policy{}
	for i := range 200 {
		team := fmt.Sprintf("team%d", i)
		p.Rules = append(p.Rules, Rule{
			Name: team, Who: []string{fmt.Sprintf("spiffe://d/ns/%d/sa/*", i), "spiffe://d/ns/7/sa/x"},
			Register: &Register{Services: []string{team + ".api", team + ".jobs"}, Peer: true, Ports: []Ports{{7000, 7999}}},
			Read:     &Read{Services: []string{team + ".*", "shared.*"}, Detail: Reason},
			Route:    &Services{[]string{team + ".*", "edge"}},
		})
	}
	return p
}

// BenchmarkDecide measures decisions of an identity that 200 rules include.
func BenchmarkDecide(b *testing.B) {
	c := compiled(b, large())
	r := c.For("spiffe://d/ns/7/sa/x")
	at := Endpoint{IP: netip.MustParseAddr("10.0.0.1"), Peer: netip.MustParseAddr("10.0.0.1"), Port: 7001}
	name, none, mesh := service("team199.api"), service("other.api"), Everything
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r.Detail(name) != Reason {
				b.Fatal("hidden")
			}
		}
	})
	b.Run("hidden", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r.Detail(none)+r.Detail(mesh) != Hidden {
				b.Fatal("shown")
			}
		}
	})
	b.Run("register", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, placed := r.MayRegister(name, at); placed == NotPlaced {
				b.Fatal("refused")
			}
		}
	})
	b.Run("identity", func(b *testing.B) {
		for b.Loop() {
			c.For("spiffe://d/ns/8/sa/y")
		}
	})
}

// TestDecideAllocates: a decision allocates nothing.
func TestDecideAllocates(t *testing.T) {
	r := compiled(t, large()).For("spiffe://d/ns/7/sa/x")
	name, at := service("team199.api"), Endpoint{IP: netip.MustParseAddr("10.0.0.1"), Peer: netip.MustParseAddr("10.0.0.1"), Port: 7001}
	n := testing.AllocsPerRun(100, func() {
		r.Detail(name)
		r.Allows(VerbRoute, name)
		r.LongestOverride(name)
		r.MayRegister(name, at)
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
