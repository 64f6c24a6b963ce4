package access

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Learn makes a policy that allows what was observed. base has the trust domain, the tokens and AllowDNSNames of
// the policy; its rules are not used. The result compiles.
//
// There is no generalisation. Services have their exact names. A registration needs the port, and the network or the
// peer, that was observed for the same service. Identities share a rule only if they do the same. Two things
// are wider than the observations. The numbers of instances are rounded up. And what a caller without an identity
// does is allowed to everybody, because a rule for anyone includes all callers.
//
// leftOut says what was observed and is not allowed, one text for each identity or service.
func (s *Observations) Learn(base *Policy) (p *Policy, leftOut []string) {
	p = &Policy{TrustDomain: base.TrustDomain, AllowDNSNames: base.AllowDNSNames, Tokens: map[string][]TokenHash{}}
	l := learning{known: &Compiled{policy: base}, byIdentity: map[string]*habits{}, isLeftOut: map[string]bool{}}
	for _, o := range s.sorted() {
		l.add(o)
	}
	rules := map[string]*Rule{} // by all that they allow
	var order []*Rule
	for _, identity := range slices.Sorted(maps.Keys(l.byIdentity)) {
		if name, is := TokenName(identity); is {
			p.Tokens[name] = base.Tokens[name]
		}
		for _, r := range l.rules(identity, s.instances[identity]) {
			same := rules[r.allowance()]
			if same == nil || identity == "" || same.Who[0] == anyone || len(same.Who) == MaxPatterns {
				same = r
				rules[r.allowance()] = r
				order = append(order, r)
			}
			same.Who = append(same.Who, cmp.Or(identity, anyone))
		}
	}
	if n := len(order) - MaxRules; n > 0 {
		order = order[:MaxRules]
		l.leaveOut("%d rules, because a policy has at most %d", n, MaxRules)
	}
	used := map[string]bool{}
	for _, r := range order {
		r.Name = nameFor(r.Who[0], used)
		p.Rules = append(p.Rules, *r)
	}
	return p, l.leftOut
}

// sorted returns the observations in an order that depends on nothing else.
func (s *Observations) sorted() []Observation {
	all := slices.Collect(maps.Values(s.all))
	slices.SortFunc(all, func(a, b Observation) int {
		return cmp.Or(strings.Compare(a.Identity, b.Identity), cmp.Compare(a.Verb, b.Verb), strings.Compare(a.Service, b.Service), a.Place.compare(b.Place))
	})
	return all
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Port, q.Port), strings.Compare(p.Host, q.Host), p.Network.Compare(q.Network),
		strings.Compare(fmt.Sprint(p.Peer, p.Proven), fmt.Sprint(q.Peer, q.Proven)))
}

// learning sorts observations by identity.
type learning struct {
	known      *Compiled // has the tokens and the trust domain
	byIdentity map[string]*habits
	leftOut    []string
	isLeftOut  map[string]bool // by text
}

// habits is what one identity does.
type habits struct {
	admin  bool
	levels map[level]map[string]bool // services by what is done with them
	// places has the places at which instances of a service are registered, by port.
	places map[string]map[uint16][]Place
}

// level is a verb with the measure that decides which right is enough.
type level struct {
	verb    Verb
	detail  Detail
	longest time.Duration
}

func (l *learning) leaveOut(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !l.isLeftOut[text] {
		l.leftOut, l.isLeftOut[text] = append(l.leftOut, text), true
	}
}

// add adds an observation, unless no rule can allow it.
func (l *learning) add(o Observation) {
	if o.Identity != "" {
		if err := l.known.CheckIdentity(o.Identity); err != nil {
			l.leaveOut("what %q does, because the identity %v", o.Identity, err)
			return
		}
	}
	if everything := o.Service == health.MeshName && o.Verb != VerbRegister; !everything && o.Verb != VerbAdmin {
		if err := checkServicePattern(o.Service); err != nil || strings.Contains(o.Service, wildcard) {
			l.leaveOut("what is done with %q, because no pattern is that service only", o.Service)
			return
		}
	}
	h := l.byIdentity[o.Identity]
	if h == nil {
		h = &habits{levels: map[level]map[string]bool{}, places: map[string]map[uint16][]Place{}}
		l.byIdentity[o.Identity] = h
	}
	switch o.Verb {
	case VerbAdmin:
		h.admin = true
	case VerbRegister:
		if h.places[o.Service] == nil {
			h.places[o.Service] = map[uint16][]Place{}
		}
		h.places[o.Service][o.Place.Port] = append(h.places[o.Service][o.Place.Port], o.Place)
	default:
		at := level{o.Verb, o.Detail, o.Longest}
		if h.levels[at] == nil {
			h.levels[at] = map[string]bool{}
		}
		h.levels[at][o.Service] = true
	}
}

// rules returns the rules of one identity, without names and identities.
func (l *learning) rules(identity string, instances int) (rules []*Rule) {
	h := l.byIdentity[identity]
	var next [numVerbs]int // number of the rule that gets the next grant for a verb
	give := func(verb Verb, grant func(*Rule)) {
		if next[verb] == len(rules) {
			rules = append(rules, &Rule{})
		}
		grant(rules[next[verb]])
		next[verb]++
	}
	for _, s := range l.sites(identity) {
		for r := range s.registers(roundUp(instances)) {
			give(VerbRegister, func(rule *Rule) { rule.Register = r })
		}
	}
	levels := slices.SortedFunc(maps.Keys(h.levels), func(a, b level) int {
		return cmp.Or(cmp.Compare(a.verb, b.verb), cmp.Compare(b.detail, a.detail), cmp.Compare(b.longest, a.longest))
	})
	for _, at := range levels {
		services := slices.Sorted(maps.Keys(h.levels[at]))
		services = slices.DeleteFunc(services, func(service string) bool { return h.has(at, service) })
		for part := range slices.Chunk(services, MaxPatterns) {
			give(at.verb, func(r *Rule) { r.allow(at, part) })
		}
	}
	if h.admin {
		give(VerbAdmin, func(r *Rule) { r.Admin = true })
	}
	return rules
}

// has reports whether another grant already allows something on a service.
func (h *habits) has(at level, service string) bool {
	for other, services := range h.levels {
		everything := services[health.MeshName]
		switch {
		case other.verb == at.verb && other.detail >= at.detail && other.longest >= at.longest && everything && service != health.MeshName,
			other.verb == VerbRoute && at.verb == VerbRead && at.detail <= Status && (everything || services[service]):
			return true
		}
	}
	return false
}

// allow adds a grant for a verb that has levels.
func (r *Rule) allow(at level, services []string) {
	switch at.verb {
	case VerbReport:
		r.Report = &Services{services}
	case VerbRead:
		r.Read = &Read{Services: services, Detail: max(Status, at.detail)}
	case VerbRoute:
		r.Route = &Services{services}
	case VerbOverride:
		r.Override = &Override{Services: services, Longest: max(shortestOverride, at.longest)}
	}
}

// shortestOverride is the shortest value of Override.Longest in a file. A rule with it also lets overrides be
// cleared.
const shortestOverride = time.Second

// site is the addresses and the ports at which instances of some services are registered. Each of its ports was
// seen at each of its addresses, for each of its services.
type site struct {
	peer     bool
	networks []netip.Prefix
	proven   []netip.Prefix
	ports    []Ports
	services []string
}

// sites returns where an identity registers instances.
func (l *learning) sites(identity string) (all []*site) {
	places := l.byIdentity[identity].places
	same := map[string]*site{}
	for _, service := range slices.Sorted(maps.Keys(places)) {
		for _, s := range sitesOf(places[service]) {
			key := fmt.Sprint(*s)
			if same[key] == nil {
				same[key] = s
				all = append(all, s)
			}
			same[key].services = append(same[key].services, service)
		}
		for _, host := range unknownHosts(places[service]) {
			l.leaveOut("%s at %s, because the address of the host is not known", service, host)
		}
	}
	return all
}

// sitesOf returns the sites of one service, from its places by port.
func sitesOf(places map[uint16][]Place) (all []*site) {
	same := map[string]*site{}
	for _, port := range slices.Sorted(maps.Keys(places)) {
		s := &site{}
		for _, at := range places[port] {
			switch {
			case at.Peer:
				s.peer = true
			case at.Network.IsValid() && at.Proven:
				s.proven = append(s.proven, at.Network)
			case at.Network.IsValid():
				s.networks = append(s.networks, at.Network)
			}
		}
		if !s.peer && s.networks == nil && s.proven == nil {
			continue
		}
		s.proven = slices.DeleteFunc(s.proven, func(n netip.Prefix) bool { return slices.Contains(s.networks, n) })
		s.networks, s.proven = sortedNetworks(s.networks), sortedNetworks(s.proven)
		key := fmt.Sprint(*s)
		if same[key] == nil {
			same[key] = s
			all = append(all, s)
		}
		s = same[key]
		if n := len(s.ports); n > 0 && s.ports[n-1].Last == port-1 {
			s.ports[n-1].Last = port
		} else {
			s.ports = append(s.ports, Ports{port, port})
		}
	}
	return all
}

// sortedNetworks returns networks in their order, each once. It changes the list.
func sortedNetworks(all []netip.Prefix) []netip.Prefix {
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// unknownHosts returns the hosts, with their ports, of which no address is known.
func unknownHosts(places map[uint16][]Place) (all []string) {
	for _, port := range slices.Sorted(maps.Keys(places)) {
		for _, at := range places[port] {
			known := at.Host == "" || slices.ContainsFunc(places[port], func(p Place) bool { return p.Host == at.Host && p.Network.IsValid() })
			if !known {
				all = append(all, at.Host+":"+strconv.Itoa(int(port)))
			}
		}
	}
	return all
}

// registers yields grants that together allow the site. A list in a grant has at most MaxPatterns entries.
func (s *site) registers(instances int) iter.Seq[*Register] {
	return func(yield func(*Register) bool) {
		networks, proven := slices.Collect(slices.Chunk(s.networks, MaxPatterns)), slices.Collect(slices.Chunk(s.proven, MaxPatterns))
		for services := range slices.Chunk(s.services, MaxPatterns) {
			for ports := range slices.Chunk(s.ports, MaxPatterns) {
				for i := range max(1, len(networks), len(proven)) {
					r := &Register{Services: services, Peer: s.peer && i == 0, Ports: ports, Instances: instances}
					if i < len(networks) {
						r.Addresses = networks[i]
					}
					if i < len(proven) {
						r.ProvenAddresses = proven[i]
					}
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}

// roundUp returns the smallest of 10, 20, 50, 100, 200, 500 and so on that is not below n.
func roundUp(n int) int {
	for unit := 10; ; unit *= 10 {
		for _, up := range []int{unit, 2 * unit, 5 * unit} {
			if up >= min(n, MaxInstances) {
				return min(up, MaxInstances)
			}
		}
	}
}

// allowance returns a text that is the same for all rules that allow the same.
func (r *Rule) allowance() string {
	return fmt.Sprint(valueOf(r.Register), valueOf(r.Report), valueOf(r.Read), valueOf(r.Route), valueOf(r.Override), r.Admin)
}

func valueOf[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

// nameFor returns a name for a rule that is not used yet, from an identity: of a SPIFFE ID its last segment.
func nameFor(who string, used map[string]bool) string {
	base := who
	switch kind, rest, _ := strings.Cut(who, ":"); {
	case strings.HasPrefix(who, spiffePrefix):
		base = who[strings.LastIndexByte(who, '/')+1:]
	case strings.HasPrefix(who, unixPrefix):
		base = "uid-" + who[len(unixPrefix):]
	case rest != "":
		base = kind + "-" + rest
	}
	base = base[:min(len(base), MaxPattern-len("-10000"))]
	name := strings.ToValidUTF8(base, "")
	for i := 2; used[name]; i++ {
		name = base + "-" + strconv.Itoa(i)
	}
	used[name] = true
	return name
}
