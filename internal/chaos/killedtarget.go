package chaos

import "github.com/meshhealth/meshhealth/health"

// The ways in which the targets of the scenario "reuse" are registered before they are killed.
const (
	howFeed   = "feed"   // the target has a lease and a server of this library, and its client reads the server's feed
	howPlain  = "plain"  // the target has a lease and a stock server, so that its client has no feed
	howStatic = "static" // the target has no lease: its status is the answer of the server at its address
)

// After a target was killed, another server listens at its address. This server is called the
// occupant. These are the kinds of occupants.
const (
	occupantStock    = "stock"    // a stock server takes the address of a killed target, and knows its name
	occupantCheck    = "check"    // a server that implements only Check takes the address of a killed target
	occupantService  = "service"  // a server for another service takes the address of a killed target
	occupantInstance = "instance" // another instance of the same service takes the address of a killed target
)

// killedTarget is a target of the scenario "reuse" whose process is killed. The service of the
// target has one other instance, the partner, which is not killed.
type killedTarget struct {
	how      string // how the target is registered: one of the constants howFeed, howPlain, howStatic
	occupant string // kind of the server that takes the target's address: a constant such as occupantStock
	// moves is true if the target is started again at another address, because another
	// server still listens at the old one.
	moves bool
	// address is the HOST:PORT at which the target listened before it was killed.
	address string
}

// killedTargets returns one target for each way to register it and each kind of server that takes
// its address. If moves is true, static targets are missing, since their address cannot change.
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

// group returns the [Group] with which the target is started before it is killed.
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

// partnerGroup returns the [Group] with which the partner of the target is started. The
// partner is the other instance of the target's service, and is not killed.
func (k *killedTarget) partnerGroup() Group {
	g := k.group()
	g.Instance = "partner"
	return g
}

// againGroup returns the [Group] with which the target is started again after it was killed.
func (k *killedTarget) againGroup() Group {
	g := k.group()
	if !k.moves {
		g.At = []string{k.address}
	}
	return g
}

// occupantGroup returns the [Group] with which the occupant is started. The occupant is the server
// that takes the address of the killed target.
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

// occupantID returns the name of the server that takes the address of the killed target. registered
// is true if this server registers itself.
func (k *killedTarget) occupantID() (id health.ID, registered bool) {
	g := k.occupantGroup()
	return g.first(), g.Leased
}

// first returns the name of the first target of the group.
func (g *Group) first() health.ID {
	g.setDefaults()
	return g.id(0)
}

func (k *killedTarget) service() health.ID { return health.ID{Service: k.id().Service} }

// answer returns the state that the new server at the target's address reports for the name of the
// killed target.
func (k *killedTarget) answer() State {
	if k.occupant == occupantService {
		return unknown
	}
	return serving
}

// routable returns how many instances of the target's service must be routable (SERVING or
// DEGRADED), and how many instances the service must have. The numbers are for the time after the
// target was killed and its lease has expired.
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

// serviceState returns the expected state of a service of which at least half of the instances
// are routable: SERVING if all instances are routable, and otherwise DEGRADED.
func serviceState(routable, all int) State {
	if routable == all {
		return serving
	}
	return degraded
}

// idsOf returns the names of all targets in a list.
func idsOf(all []*killedTarget) (names []health.ID) {
	for _, k := range all {
		names = append(names, k.id())
	}
	return names
}

// groupsOf returns the [Group] that compute returns for each target.
func groupsOf(all []*killedTarget, compute func(*killedTarget) Group) (groups []Group) {
	for _, k := range all {
		groups = append(groups, compute(k))
	}
	return groups
}
