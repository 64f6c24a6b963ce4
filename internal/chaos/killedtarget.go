package chaos

import "github.com/meshhealth/meshhealth/health"

// The ways in which the targets of the scenario "reuse" are registered before they are killed.
const (
	howFeed   = "feed"   // the target is leased, and its client has the feed of a server of this library
	howPlain  = "plain"  // the target is leased, and its client has no feed, since the server is a stock server
	howStatic = "static" // the target is static: its status is whatever its address answers
)

// The kinds of occupants. An occupant is the server that listens at the address of a target
// after the target was killed.
const (
	occupantStock    = "stock"    // the occupant is a stock server that knows the name of the killed target
	occupantCheck    = "check"    // the occupant is a server that implements only Check
	occupantService  = "service"  // the occupant is a server of this library for another service
	occupantInstance = "instance" // the occupant is another instance of the service, which registers itself
)

// killedTarget is a target of the scenario "reuse" whose process is killed. The service of the
// target has one other instance, the partner, which is not killed.
type killedTarget struct {
	how      string // how the target is registered: one of the constants how…
	occupant string // the kind of the occupant: one of the constants occupant…
	// moves is true if the target returns at another address, while the occupant stays.
	moves bool
	// address is the HOST:PORT at which the target listened before it was killed.
	address string
}

// killedTargets returns one target for each combination of registration and occupant. Static
// targets are missing if moves is true, since a static target cannot return at another address.
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
// partner is the other instance of the service.
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

// occupantGroup returns the [Group] with which the occupant is started at the address of the
// killed target.
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

// occupantID returns the name of the occupant, and whether the occupant registers itself.
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

// answer returns the state that the occupant reports for the name of the killed target.
func (k *killedTarget) answer() State {
	if k.occupant == occupantService {
		return unknown
	}
	return serving
}

// routable returns how many instances of the target's service are routable, and how many
// instances the service has. The numbers hold after the target was killed, as soon as its
// lease has expired.
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
// are routable: SERVING if all are, and otherwise DEGRADED.
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

// groupsOf returns one [Group] for each target, as the function of computes it.
func groupsOf(all []*killedTarget, of func(*killedTarget) Group) (groups []Group) {
	for _, k := range all {
		groups = append(groups, of(k))
	}
	return groups
}
