package demo

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// node is one service of the story.
type node struct {
	name, team string
	// needs are the services without which this service fails. uses are the services without
	// which it is only degraded.
	needs, uses []string
	critical    bool
}

// nodes are the services of the story. A service comes after all services on which it depends.
var nodes = []node{
	{name: "db.primary", team: "platform"},
	{name: "cache", team: "platform"},
	{name: "ledger", team: "money", needs: []string{"db.primary"}},
	{name: "payments", team: "money", needs: []string{"ledger"}, critical: true},
	{name: "invoices", team: "money", needs: []string{"ledger"}},
	{name: "mail", team: "platform"},
	{name: "orders", team: "money", needs: []string{"db.primary"}, uses: []string{"mail"}},
	{name: "checkout", team: "money", needs: []string{"payments", "orders"}, uses: []string{"mail"}},
	{name: "sessions", team: "platform", needs: []string{"cache"}},
	{name: "search", team: "storefront"},
	{name: "catalog", team: "storefront", needs: []string{"cache"}, uses: []string{"db.primary"}},
	{name: "web", team: "storefront", needs: []string{"checkout"}, uses: []string{"catalog", "search", "sessions"}},
}

// The zones of the story. Instances with neighbouring names are in different zones.
var zones = []string{"eu-a", "eu-b", "eu-c"}

// cutZone is the zone whose network the story cuts.
const cutZone = "eu-b"

// The versions of the story. In the zones other than eu-a, the team storefront already runs the
// new version, which needs the feature flags.
const (
	oldVersion = "1.4.2"
	newVersion = "1.5.0"
)

// The instances that run in a process of their own. The story suspends, kills and drains them. No
// service depends on these instances, because their ports change.
const (
	frozenInstance  = "search/a"
	killedInstance  = "mail/a"
	drainedInstance = "sessions/a"
)

func findNode(name string) *node {
	if i := slices.IndexFunc(nodes, func(n node) bool { return n.name == name }); i >= 0 {
		return &nodes[i]
	}
	return nil
}

// instanceName returns the name of the instance with number n of a service, such as a.
func instanceName(n int) string { return string(rune('a' + n)) }

// describe returns the instance with number n of a service, without addresses.
func (s *node) describe(n int) Instance {
	i := Instance{
		Service: s.name, Name: instanceName(n), Zone: zones[n%len(zones)], Team: s.team, Version: oldVersion,
		Depth: s.depth(),
	}
	if s.team == "storefront" && i.Zone != zones[0] {
		i.Version = newVersion
	}
	return i
}

// depth returns the length of the longest chain of dependencies of a service.
func (s *node) depth() int {
	deepest := 0
	for _, name := range slices.Concat(s.needs, s.uses) {
		deepest = max(deepest, findNode(name).depth()+1)
	}
	return deepest
}

// ownProcess reports whether the instance runs in a child process.
func (i *Instance) ownProcess() bool {
	return slices.Contains([]string{frozenInstance, killedInstance, drainedInstance}, i.fullName())
}

func (i *Instance) fullName() string { return i.Service + "/" + i.Name }

// policy returns the policy of the coordinator. The times are shorter than the defaults, so that
// the effects of each step are soon visible. storm means that instances flip all the time, and that
// each flip must be visible.
func policy(storm bool) health.MeshPolicy {
	p := health.MeshPolicy{
		UnreachableAfter: unreachableAfter, StartupGrace: 5 * time.Second, Amnesty: time.Second,
		DeregisterAfter: time.Minute,
		FlapHalfLife:    10 * time.Second, // a round of the story is no flapping
		Services:        map[string]health.ServicePolicy{},
	}
	if storm {
		p.FlapHalfLife = -1
	}
	for _, n := range nodes {
		p.Services[n.name] = health.ServicePolicy{Critical: n.critical, DependsOn: n.needs, SoftDependsOn: n.uses}
	}
	return p
}

// unreachableAfter is the time after which a silent instance is NOT_SERVING, unless a guard holds
// it.
const unreachableAfter = 6 * time.Second

// The number of instances without a storm. Up to the largest number, each instance has its own
// server, its own connection and its own checks.
var (
	// MinInstances is the number of instances in the story, and so the smallest number of the
	// demo. It is the default, too.
	MinInstances = len(zones) * len(nodes)
	// MaxInstances is the largest number of instances without a storm.
	MaxInstances = 20 * len(nodes)
)

// The number of instances with a storm.
const (
	DefaultStormInstances = 1000
	MaxStormInstances     = 10_000
)

// CheckInstances returns an error if a demo cannot have n instances.
func CheckInstances(n int, storm bool) error {
	most := MaxInstances
	if storm {
		most = MaxStormInstances
	}
	if n < MinInstances || n > most {
		return fmt.Errorf("is %d; allowed: %d to %d, or up to %d in a storm", n, MinInstances, MaxInstances, MaxStormInstances)
	}
	return nil
}
