package access

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// learningBase has what a learnt policy takes from the policy in use.
var learningBase = &Policy{TrustDomain: "d", Tokens: map[string][]TokenHash{"one": {{1}}, "two": {{2}, {3}}}}

// observation returns a random observation.
func (s source) observation() Observation {
	o := Observation{Identity: s.identity(), Verb: Verbs()[s.IntN(len(Verbs()))], Service: s.service()}
	switch o.Verb {
	case VerbAdmin:
		o.Service = ""
	case VerbRegister:
		o.Place = Place{Port: uint16(1 + s.IntN(4))}
		switch s.IntN(3) {
		case 0:
			o.Place.Peer = true
		case 1:
			o.Place.Network = netip.PrefixFrom(s.addr(), 32)
		default:
			o.Place.Network, o.Place.Host = netip.PrefixFrom(s.addr(), 31).Masked(), s.one("", "db")
		}
		o.Place.Proven = !o.Place.Peer && s.IntN(3) == 0
	case VerbRead:
		o.Detail = Detail(1 + s.IntN(3))
	case VerbOverride:
		o.Longest = time.Duration(1+s.IntN(3)) * time.Hour
	}
	if o.Verb != VerbRegister && o.Verb != VerbAdmin && s.IntN(20) == 0 {
		o.Service = health.MeshName
	}
	return o
}

// observed decides as the oracle does, from observations instead of rules.
func observed(all []Observation, identity, service string, e Endpoint) (d Detail, allowed [numVerbs]bool, longest time.Duration, placed Placement) {
	for _, o := range all {
		if o.Identity != "" && o.Identity != identity || o.Service != "" && o.Service != service && o.Service != health.MeshName {
			continue
		}
		switch o.Verb {
		case VerbRegister:
			allowed[VerbReport] = true
			switch inside := o.Place.Network.IsValid() && o.Place.Network.Contains(e.IP); {
			case e.Port != o.Place.Port:
			case o.Place.Peer && e.IP == e.Peer:
				placed = PlacedAtPeer
			case inside && !o.Place.Proven:
				placed = max(placed, PlacedInNetwork)
			case inside:
				placed = max(placed, PlacedIfProven)
			}
			allowed[VerbRegister] = placed > NotPlaced
			continue
		case VerbRead:
			d = max(d, o.Detail)
		case VerbRoute:
			d = max(d, Status)
		case VerbOverride:
			longest = max(longest, o.Longest)
		case VerbReport: // what was observed was for an instance of another identity
			allowed[verbReportOthers] = true
		}
		allowed[o.Verb] = true
	}
	return d, allowed, longest, placed
}

// TestLearntIsObserved checks for random observations that a learnt policy allows what was observed, and
// nothing else.
func TestLearntIsObserved(t *testing.T) {
	cases, seed := 200_000, rand.Uint64()
	if testing.Short() {
		cases /= 10
	}
	if soak {
		cases = 5_000_000
	}
	t.Logf("seed %d", seed)
	s := source{rand.New(rand.NewPCG(seed, 0))}
	yes, no := 0, 0
	for done := 0; done < cases; {
		set := Observations{Limit: 1000}
		var all []Observation
		for range s.IntN(40) {
			o := s.observation()
			all = append(all, o)
			set.Add(o)
		}
		p, leftOut := set.Learn(learningBase)
		c, err := Compile(p)
		if err != nil || len(leftOut) > 0 {
			t.Fatalf("%+v: %+v: %v, left out %q", all, p, err, leftOut)
		}
		for range 500 {
			done++
			identity, service := s.identity(), s.one(s.service(), s.service(), s.service(), "*")
			e := Endpoint{IP: s.addr(), Peer: s.addr(), Port: uint16(1 + s.IntN(5))}
			detail, allowed, longest, placed := observed(all, identity, service, e)
			rights, name := c.For(identity), Of(health.ID{Service: service})
			var got [numVerbs]bool
			for _, verb := range append(Verbs(), verbReportOthers) {
				_, got[verb] = rights.Allows(verb, name)
			}
			_, gotPlaced := rights.MayRegister(name, e)
			got[VerbRegister] = gotPlaced > NotPlaced
			allowed[VerbRead] = detail > Hidden
			if d := rights.Detail(name); got != allowed || d != detail || rights.LongestOverride(name) != longest || gotPlaced != placed {
				t.Fatalf("%+v\n%s\n%q on %v at %+v: %v, %v, %v, %v, want %v, %v, %v, %v", all, describePolicy(p), identity, service, e,
					got, d, rights.LongestOverride(name), gotPlaced, allowed, detail, longest, placed)
			}
			if slices.Contains(got[:], true) {
				yes++
			} else {
				no++
			}
		}
	}
	if yes < cases/10 || no < cases/10 {
		t.Errorf("%d allowed and %d refused: too few to compare", yes, no)
	}
}

// describePolicy returns one line for each rule.
func describePolicy(p *Policy) string {
	var b strings.Builder
	for i := range p.Rules {
		r := &p.Rules[i]
		fmt.Fprintf(&b, "%s: %s may %s\n", r.Name, strings.Join(r.Who, ", "), strings.Join(r.Summary(), "; "))
	}
	return b.String()
}

// TestLearn checks the rules that are made from a few observations.
func TestLearn(t *testing.T) {
	const a, b = "spiffe://d/ns/a", "spiffe://d/ns/b"
	set := Observations{Limit: 100}
	read := func(who, service string, d Detail) {
		set.Add(Observation{Identity: who, Verb: VerbRead, Service: service, Detail: d})
	}
	register := func(who, service string, at Place) {
		set.Add(Observation{Identity: who, Verb: VerbRegister, Service: service, Place: at})
	}
	network := netip.MustParsePrefix
	for _, who := range []string{a, b} {
		register(who, "pay", Place{Peer: true, Port: 7000})
		register(who, "pay", Place{Peer: true, Port: 7001})
		register(who, "orders", Place{Peer: true, Port: 7000})
		register(who, "orders", Place{Peer: true, Port: 7001})
		set.AddInstances(who, 12)
	}
	register(b, "db", Place{Network: network("10.0.0.2/32"), Port: 1})
	register(b, "db", Place{Network: network("10.0.0.1/32"), Port: 1})
	register(b, "db", Place{Peer: true, Port: 2})
	register(b, "db", Place{Network: network("10.0.0.1/32"), Port: 2, Proven: true})
	register("token:one", "legacy", Place{Host: "old.internal", Port: 9})
	register("token:one", "legacy", Place{Host: "new.internal", Port: 9})
	register("token:one", "legacy", Place{Host: "new.internal", Port: 9, Network: network("fd00::1/128")})
	set.Add(Observation{Identity: "token:two", Verb: VerbOverride, Service: "pay", Longest: time.Hour})
	set.Add(Observation{Identity: "token:two", Verb: VerbOverride, Service: "db", Longest: 90 * time.Minute})
	set.Add(Observation{Identity: "token:two", Verb: VerbOverride, Service: "pay", Longest: time.Minute})
	set.Add(Observation{Identity: "token:two", Verb: VerbOverride, Service: "orders"})
	set.Add(Observation{Identity: "token:two", Verb: VerbAdmin})
	read("token:two", "pay", Status)
	read("token:two", "*", Status)
	read("token:two", "pay", Evidence)
	read("", "pay", Status)
	set.Add(Observation{Identity: "", Verb: VerbRoute, Service: "pay"})
	read("token:gone", "pay", Status)
	read("dns:*.example.org", "pay", Status)
	read("unix:uid=0", "a..b", Status)
	p, leftOut := set.Learn(learningBase)
	if _, err := Compile(p); err != nil {
		t.Fatal(err)
	}
	const want = `anyone: anyone may route pay
a: spiffe://d/ns/a, spiffe://d/ns/b may register orders, pay (at the address that you call from, with the ports 7000-7001; up to 20 instances)
b: spiffe://d/ns/b may register db (at 10.0.0.1/32, 10.0.0.2/32, with the ports 1; up to 20 instances)
b-2: spiffe://d/ns/b may register db (at the address that you call from, 10.0.0.1/32 (proven), with the ports 2; up to 20 instances)
token-one: token:one may register legacy (at fd00::1/128, with the ports 9; up to 10 instances)
token-two: token:two may read pay (detail evidence); override db (up to 1h30m); admin
token-two-2: token:two may read * (detail status); override pay (up to 1h)
token-two-3: token:two may override orders (up to 1s)
`
	if got := describePolicy(p); got != want {
		t.Errorf("learnt:\n%swant:\n%s", got, want)
	}
	if n := len(leftOut); n != 4 || !strings.Contains(strings.Join(leftOut, "\n"), "legacy at old.internal:9") {
		t.Errorf("left out %q", leftOut)
	}
	if !reflect.DeepEqual(p.Tokens, learningBase.Tokens) || p.TrustDomain != "d" {
		t.Errorf("tokens %v, domain %q", p.Tokens, p.TrustDomain)
	}
}

// TestLearnLimits checks that a set is bounded, and that lists beyond the limits of a rule become several rules.
func TestLearnLimits(t *testing.T) {
	set := Observations{Limit: 5000}
	for i := range 6000 {
		set.Add(Observation{Identity: "token:one", Verb: VerbRead, Service: fmt.Sprintf("s%d", i%3000), Detail: Status})
		set.Add(Observation{Identity: "token:one", Verb: VerbRegister, Service: "pay", Place: Place{
			Network: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), Port: 1,
		}})
	}
	set.AddInstances("token:one", 2_000_000)
	if set.Count() != 5000 || set.Dropped == 0 {
		t.Fatalf("%d observations, %d dropped", set.Count(), set.Dropped)
	}
	p, leftOut := set.Learn(learningBase)
	c, err := Compile(p)
	if err != nil || len(leftOut) > 0 || len(p.Rules) != 3 {
		t.Fatalf("%v, left out %q, %d rules", err, leftOut, len(p.Rules))
	}
	if r := c.For("token:one"); r.Instances() != MaxInstances || !r.Reads("s2400") {
		t.Errorf("%d instances", r.Instances())
	}
	var none Observations
	none.Add(Observation{})
	none.AddInstances("a", 1)
	if all, instances := none.Take(); none.Dropped != 2 || len(all)+len(instances) > 0 {
		t.Errorf("the zero value has room: %+v", none)
	}
}

// TestTakeObservations checks that Take returns what has changed, once.
func TestTakeObservations(t *testing.T) {
	set := Observations{Limit: 10}
	read := Observation{Verb: VerbRead, Service: "pay", Detail: Reason}
	for _, step := range []struct {
		add   Observation
		count int
		want  []Observation
		most  map[string]int
	}{
		{read, 1, []Observation{read}, map[string]int{"": 1}},
		{read, 1, []Observation{}, map[string]int{}},
		{Observation{Verb: VerbRead, Service: "pay", Detail: Status}, 0, []Observation{}, map[string]int{}},
		{Observation{Verb: VerbRead, Service: "pay", Detail: Evidence}, 3, []Observation{{Verb: VerbRead, Service: "pay", Detail: Evidence}}, map[string]int{"": 3}},
	} {
		set.Add(step.add)
		set.AddInstances("", step.count)
		if all, instances := set.Take(); !reflect.DeepEqual(all, step.want) || !reflect.DeepEqual(instances, step.most) {
			t.Errorf("%+v: %+v, %v", step, all, instances)
		}
	}
}

// TestLearnMostRules checks that a learnt policy has at most MaxRules rules.
func TestLearnMostRules(t *testing.T) {
	set := Observations{Limit: 2 * MaxRules}
	for i := range MaxRules + 10 {
		set.Add(Observation{Identity: fmt.Sprintf("unix:uid=%d", i), Verb: VerbRead, Service: fmt.Sprintf("s%d", i), Detail: Status})
	}
	p, leftOut := set.Learn(&Policy{})
	if _, err := Compile(p); err != nil || len(p.Rules) != MaxRules || len(leftOut) != 1 {
		t.Errorf("%v, %d rules, left out %q", err, len(p.Rules), leftOut)
	}
}
