package demo

import (
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestStoryTargets checks that each step has texts, and a target that its verb can change.
func TestStoryTargets(t *testing.T) {
	backends, children := append(serviceNames(), flagServer), childNames()
	for _, s := range story() {
		targets := children
		switch s.verb {
		case slowDown, refuse, repair:
			targets = backends
		case cutNetwork, joinNetwork:
			targets = []string{cutZone}
		}
		if !slices.Contains(targets, s.target) {
			t.Errorf("%q: target %q; want one of %q", s.what, s.target, targets)
		}
		if s.what == "" || s.look == "" {
			t.Errorf("step %v of %s has no text", s.verb, s.target)
		}
	}
}

// childNames returns the names of the instances that run in a process of their own.
func childNames() []string {
	var names []string
	for n := range MinInstances {
		if i := nodes[n%len(nodes)].describe(n / len(nodes)); i.ownProcess() {
			names = append(names, i.fullName())
		}
	}
	return names
}

// TestStoryEndsWell checks that everything works again at the end of a round, and that a round
// contains each verb.
func TestStoryEndsWell(t *testing.T) {
	ends := map[verb]verb{slowDown: repair, refuse: repair, cutNetwork: joinNetwork, freeze: thaw, kill: startAgain, drain: startAgain}
	open, used := map[string]verb{}, map[verb]bool{}
	for _, s := range story() {
		used[s.verb] = true
		if _, begins := ends[s.verb]; begins {
			open[s.target] = s.verb
			continue
		}
		if ends[open[s.target]] != s.verb {
			t.Errorf("%q ends a fault that did not begin", s.what)
		}
		delete(open, s.target)
	}
	if len(open) > 0 {
		t.Errorf("faults that no step ends: %v", open)
	}
	for v := slowDown; v <= startAgain; v++ {
		if !used[v] {
			t.Errorf("no step has the verb %v", v)
		}
	}
}

// TestStoryTimes checks that each fault lasts long enough to be seen.
func TestStoryTimes(t *testing.T) {
	began, at := map[string]time.Duration{}, time.Duration(0)
	for _, s := range story() {
		at += s.delay
		switch s.verb {
		case cutNetwork, freeze:
			began[s.target] = at
		case joinNetwork, thaw:
			if lasted := at - began[s.target]; lasted < 2*unreachableAfter {
				t.Errorf("%q after %v; want %v at least", s.what, lasted, 2*unreachableAfter)
			}
		}
	}
	if at > 90*time.Second {
		t.Errorf("a round takes %v; want 90s at most", at)
	}
}

func TestTopology(t *testing.T) {
	for _, storm := range []bool{false, true} {
		if err := policy(storm).Validate(); err != nil {
			t.Error(err)
		}
	}
	dependents := map[string]bool{"db.primary": true}
	seen := map[string]bool{}
	for _, n := range nodes {
		if err := wire.CheckService(n.name); err != nil {
			t.Errorf("%s: %v", n.name, err)
		}
		for _, name := range slices.Concat(n.needs, n.uses) {
			if !seen[name] {
				t.Errorf("%s needs %s, which does not come before it", n.name, name)
			}
		}
		for _, name := range n.needs {
			dependents[n.name] = dependents[n.name] || dependents[name]
		}
		seen[n.name] = true
	}
	if n := len(dependents) - 1; n < 5 {
		t.Errorf("%d services need db.primary; want 5 at least", n)
	}
}

// TestZoneOfTheGuard checks that the zone whose network is cut has enough instances for a guard. None
// of them may run in a process of its own, because such a process does not use the network.
func TestZoneOfTheGuard(t *testing.T) {
	inZone := 0
	for n := range MinInstances {
		i := nodes[n%len(nodes)].describe(n / len(nodes))
		if i.Zone != cutZone {
			continue
		}
		inZone++
		if i.ownProcess() {
			t.Errorf("%s is in %s and has a process of its own", i.fullName(), cutZone)
		}
	}
	if inZone < health.DefaultGuardMin {
		t.Errorf("%s has %d instances; want %d at least", cutZone, inZone, health.DefaultGuardMin)
	}
}

// TestNewVersion checks that some zones run the new version of the storefront, and one does not.
func TestNewVersion(t *testing.T) {
	versions := map[string]int{}
	for n := range MinInstances {
		i := nodes[n%len(nodes)].describe(n / len(nodes))
		if i.Team == "storefront" {
			versions[i.Version]++
		} else if i.Version != oldVersion {
			t.Errorf("%s has version %s; want %s", i.fullName(), i.Version, oldVersion)
		}
	}
	if versions[newVersion] != 6 || versions[oldVersion] != 3 {
		t.Errorf("versions of the storefront: %v; want 6 new ones and 3 old ones", versions)
	}
}

func TestCheckInstances(t *testing.T) {
	for _, c := range []struct {
		n     int
		storm bool
		ok    bool
	}{
		{MinInstances - 1, false, false},
		{MinInstances, false, true},
		{MaxInstances, false, true},
		{MaxInstances + 1, false, false},
		{MinInstances - 1, true, false},
		{MaxStormInstances, true, true},
		{MaxStormInstances + 1, true, false},
	} {
		if err := CheckInstances(c.n, c.storm); (err == nil) != c.ok {
			t.Errorf("CheckInstances(%d, %v): %v", c.n, c.storm, err)
		}
	}
}
