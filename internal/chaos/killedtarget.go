package chaos

import "github.com/meshhealth/meshhealth/health"

// The ways in which the killed targets of the scenario reuse are registered.
const (
	howFeed   = "feed"   // leased, by a client that has the feed of an embedded server
	howPlain  = "plain"  // leased, by a client without a feed, beside a stock server
	howStatic = "static" // registered by an operator; its status is the answer at its address
)

// The kinds of occupants. An occupant is the server that listens at the address of a
// killed target afterwards.
const (
	occupantStock    = "stock"    // a stock server that knows the name of the killed target
	occupantCheck    = "check"    // a server that implements only Check
	occupantService  = "service"  // an embedded server of another service
	occupantInstance = "instance" // an embedded server of another instance, which registers itself
)

// killedTarget is a target of the scenario reuse whose process is killed. Its service
// has one other instance, its partner, which is not killed.
type killedTarget struct {
	how, occupant string // values of the constants how… and occupant…
	// If moves is set, the target returns at another address, and the occupant stays.
	moves bool
	// address is where the target listened before it was killed.
	address string
}

// killedTargets returns one target of each kind. A static target cannot move.
func killedTargets(moves bool) (all []*killedTarget) {
	for _, how := range []string{howFeed, howPlain, howStatic} {
		for _, occupant := range []string{occupantStock, occupantCheck, occupantService, occupantInstance} {
			if how != howStatic || !moves {
				all = append(all, &killedTarget{how: how, occupant: occupant, moves: moves})
			}
		}
	}
	return all
}

// group returns the group of the target before it is killed.
func (k *killedTarget) group() Group {
	g := Group{Kind: kindStock, Service: "reused-" + k.how + "-" + k.occupant, Targets: 1, Each: 1}
	if k.how == howFeed {
		g.Kind = kindOurs
	}
	if k.how != howStatic {
		g.Leased, g.TTL = true, reuseTTL
	}
	if k.moves {
		g.Service += "-moves"
	}
	return g
}

// partnerGroup returns the group of the target's partner.
func (k *killedTarget) partnerGroup() Group {
	g := k.group()
	g.Instance = "partner"
	return g
}

// againGroup returns the group of the target when it returns.
func (k *killedTarget) againGroup() Group {
	g := k.group()
	if !k.moves {
		g.At = []string{k.address}
	}
	return g
}

// occupantGroup returns the group of the occupant of the target's address.
func (k *killedTarget) occupantGroup() Group {
	g := k.group()
	g.Kind, g.At = kindStock, []string{k.address}
	g.Leased, g.Mute = false, true
	switch k.occupant {
	case occupantCheck:
		g.Kind = kindCheckOnly
	case occupantService:
		g.Kind, g.Service = kindOurs, "occupant"
	case occupantInstance:
		g.Kind, g.Instance = kindOurs, "occupant"
		g.Leased, g.TTL, g.Mute = true, reuseTTL, false
	}
	return g
}

func (k *killedTarget) id() health.ID {
	g := k.group()
	return g.first()
}

// occupantID returns the name of the occupant, and whether the occupant is registered.
func (k *killedTarget) occupantID() (id health.ID, registered bool) {
	g := k.occupantGroup()
	return g.first(), g.Leased
}

// first returns the name of the first target of a group.
func (g *Group) first() health.ID {
	g.setDefaults()
	return g.id(0)
}

func (k *killedTarget) service() health.ID { return health.ID{Service: k.id().Service} }

// answer returns what the occupant answers for the name of the killed target.
func (k *killedTarget) answer() State {
	if k.occupant == occupantService {
		return unknown
	}
	return serving
}

// routable returns how many instances of the target's service are routable, and how many
// instances the service has. The numbers are right when the lease of the target has expired.
func (k *killedTarget) routable() (routable, all int) {
	routable, all = 1, 2
	if k.how == howStatic && k.answer() == serving {
		routable++
	}
	if _, registered := k.occupantID(); registered {
		routable, all = routable+1, all+1
	}
	return routable, all
}

// serviceState returns the state of a service: SERVING if all its instances are routable, and
// else DEGRADED. At least half of its instances must be routable.
func serviceState(routable, all int) State {
	if routable == all {
		return serving
	}
	return degraded
}

// idsOf returns the names of these targets.
func idsOf(all []*killedTarget) (names []health.ID) {
	for _, k := range all {
		names = append(names, k.id())
	}
	return names
}

// groupsOf returns one group for each target.
func groupsOf(all []*killedTarget, of func(*killedTarget) Group) (groups []Group) {
	for _, k := range all {
		groups = append(groups, of(k))
	}
	return groups
}
