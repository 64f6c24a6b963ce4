package access

import (
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// oracle decides with regular expressions, and looks at all rules.
type oracle struct {
	policy   *Policy
	patterns map[string]*regexp.Regexp
}

func (o *oracle) matches(pattern, text, sep string) bool {
	key := sep + pattern
	if o.patterns[key] == nil {
		segments := strings.Split(pattern, sep)
		for i, s := range segments {
			switch {
			case s == "*" && i == len(segments)-1:
				segments[i] = `(?s:.+)`
			case s == "*":
				segments[i] = `[^` + sep + `]+`
			default:
				segments[i] = regexp.QuoteMeta(s)
			}
		}
		o.patterns[key] = regexp.MustCompile(`^` + strings.Join(segments, regexp.QuoteMeta(sep)) + `$`)
	}
	return o.patterns[key].MatchString(text)
}

func (o *oracle) any(patterns []string, service string) bool {
	for _, p := range patterns {
		if service == "*" && p == "*" || service != "*" && o.matches(p, service, ".") {
			return true
		}
	}
	return false
}

func (o *oracle) rules(identity string, yield func(*Rule)) {
	for i := range o.policy.Rules {
		for _, who := range o.policy.Rules[i].Who {
			if who == "anyone" || identity != "" && (who == "authenticated" || o.matches(who, identity, "/")) {
				yield(&o.policy.Rules[i])
				break
			}
		}
	}
}

func (o *oracle) decide(identity, service string, e Endpoint) (d Detail, allowed [numVerbs]bool, longest time.Duration, placed Placement) {
	o.rules(identity, func(r *Rule) {
		if r.Read != nil && o.any(r.Read.Services, service) {
			d = max(d, Status, r.Read.Detail)
		}
		if g := r.Register; g != nil && o.any(g.Services, service) {
			allowed[VerbReport] = true
			here, port := NotPlaced, len(g.Ports) == 0
			for _, n := range g.ProvenAddresses {
				if n.Contains(e.IP) {
					here = max(here, PlacedIfProven)
				}
			}
			for _, n := range g.Addresses {
				if n.Contains(e.IP) {
					here = max(here, PlacedInNetwork)
				}
			}
			if g.Peer && e.IP == e.Peer {
				here = PlacedAtPeer
			}
			for _, p := range g.Ports {
				port = port || p.First <= e.Port && e.Port <= p.Last
			}
			if port {
				placed = max(placed, here)
			}
			allowed[VerbRegister] = placed > NotPlaced
		}
		allowed[verbReportOthers] = allowed[verbReportOthers] || r.Report != nil && o.any(r.Report.Services, service)
		allowed[VerbReport] = allowed[VerbReport] || allowed[verbReportOthers]
		if r.Route != nil && o.any(r.Route.Services, service) {
			d = max(d, Status)
		}
		allowed[VerbRoute] = allowed[VerbRoute] || r.Route != nil && o.any(r.Route.Services, service)
		allowed[VerbAdmin] = allowed[VerbAdmin] || r.Admin
		if r.Override != nil && o.any(r.Override.Services, service) {
			allowed[VerbOverride] = true
			if longest < r.Override.Longest || r.Override.Longest == 0 {
				longest = r.Override.Longest
				if longest == 0 {
					longest = LongestOverride
				}
			}
		}
	})
	return d, allowed, longest, placed
}

// source makes random policies and questions from few segments, so that many of them match.
type source struct{ *rand.Rand }

func (s source) one(of ...string) string { return of[s.IntN(len(of))] }

func (s source) service() string {
	name := s.one("a", "b", "c")
	for range s.IntN(4) {
		name += "." + s.one("a", "b", "c")
	}
	return name
}

func (s source) patterns() []string {
	list := make([]string, 1+s.IntN(3))
	for i := range list {
		segments := strings.Split(s.service(), ".")
		for j := range segments {
			if s.IntN(3) == 0 {
				segments[j] = "*"
			}
		}
		list[i] = strings.Join(segments, ".")
	}
	return list
}

func (s source) who() string {
	switch s.IntN(6) {
	case 0:
		return s.one("anyone", "authenticated", "token:one", "token:two", "unix:uid=0")
	case 1:
		return "spiffe://d/" + s.one("ns", "*") + "/" + s.one("x", "*")
	}
	return "spiffe://d/" + s.one("ns", "edge", "*") + "/" + s.one("x", "y", "*") + "/" + s.one("sa", "*")
}

func (s source) identity() string {
	if s.IntN(4) == 0 {
		return s.one("", "token:one", "token:two", "unix:uid=0", "unix:uid=1")
	}
	id := "spiffe://d/" + s.one("ns", "edge") + "/" + s.one("x", "y")
	if s.IntN(3) > 0 {
		id += "/" + s.one("sa", "sb")
	}
	return id
}

func (s source) addr() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(s.IntN(4))}) }

func (s source) rule(name string) Rule {
	r := Rule{Name: name, Who: []string{s.who()}, Admin: s.IntN(8) == 0}
	for s.IntN(2) == 0 {
		r.Who = append(r.Who, s.who())
	}
	if s.IntN(3) == 0 {
		r.Register = &Register{Services: s.patterns(), Peer: s.IntN(2) == 0}
		if !r.Register.Peer || s.IntN(2) == 0 {
			r.Register.Addresses = []netip.Prefix{netip.PrefixFrom(s.addr(), 31).Masked()}
		}
		if s.IntN(2) == 0 {
			r.Register.ProvenAddresses = []netip.Prefix{netip.PrefixFrom(s.addr(), 31).Masked()}
		}
		if s.IntN(2) == 0 {
			r.Register.Ports = []Ports{{uint16(1 + s.IntN(2)), uint16(2 + s.IntN(2))}}
		}
	}
	if s.IntN(4) == 0 {
		r.Report = &Services{s.patterns()}
	}
	if s.IntN(3) == 0 {
		r.Route = &Services{s.patterns()}
	}
	if s.IntN(3) == 0 {
		r.Override = &Override{s.patterns(), time.Duration(s.IntN(3)) * time.Hour}
	}
	if s.IntN(2) == 0 || r.Register == nil && r.Report == nil && r.Route == nil && r.Override == nil && !r.Admin {
		r.Read = &Read{s.patterns(), Detail(s.IntN(4))}
	}
	return r
}

func (s source) policy() *Policy {
	p := &Policy{Tokens: map[string][]TokenHash{"one": {{1}}, "two": {{2}, {3}}}}
	for i := range s.IntN(12) {
		p.Rules = append(p.Rules, s.rule(string(rune('a'+i))))
	}
	return p
}

// TestDecideIsOracle compares decisions about random policies with those of the oracle. The soak test has
// more cases.
func TestDecideIsOracle(t *testing.T) {
	cases, seed := 100_000, rand.Uint64()
	if testing.Short() {
		cases /= 10
	}
	if soak {
		cases = 1_000_000
	}
	t.Logf("seed %d", seed)
	s := source{rand.New(rand.NewPCG(seed, 0))}
	var seen [numVerbs]int
	for done := 0; done < cases; {
		p := s.policy()
		c, err := Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		o := &oracle{policy: p, patterns: map[string]*regexp.Regexp{}}
		for range 20 {
			identity := s.identity()
			rights := c.For(identity)
			for range 25 {
				done++
				service := s.one(s.service(), s.service(), s.service(), "*")
				e := Endpoint{IP: s.addr(), Peer: s.addr(), Port: uint16(1 + s.IntN(4))}
				detail, allowed, longest, placed := o.decide(identity, service, e)
				name := Of(health.ID{Service: service})
				if service != "*" && s.IntN(2) == 0 {
					name.ID.Instance = s.one("1", "@eu")
				}
				if got := rights.Detail(name); got != detail {
					t.Fatalf("%+v: %q reads %v with %v, want %v", p, identity, name, got, detail)
				}
				if got := rights.LongestOverride(name); got != longest {
					t.Fatalf("%+v: %q overrides %v for %v, want %v", p, identity, name, got, longest)
				}
				for _, verb := range []Verb{VerbReport, verbReportOthers, VerbRoute, VerbOverride, VerbAdmin} {
					if _, got := rights.Allows(verb, name); got != allowed[verb] {
						t.Fatalf("%+v: %q, %v of %v: %v, want %v", p, identity, verb, name, got, allowed[verb])
					}
				}
				if _, got := rights.MayRegister(name, e); got != placed {
					t.Fatalf("%+v: %q registers %v at %+v: %v, want %v", p, identity, name, e, got, placed)
				}
				for verb, yes := range allowed {
					if yes {
						seen[verb]++
					}
				}
				if detail > 0 {
					seen[VerbRead]++
				}
			}
		}
	}
	for _, verb := range append(Verbs(), verbReportOthers) {
		if seen[verb] < cases/100 {
			t.Errorf("%v was allowed %d times of %d: too few to compare", verb, seen[verb], cases)
		}
	}
}
