package chaos

import (
	"slices"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

const (
	// reusePatience is the setting unreachable_after of the coordinator: the silence after
	// which a target is unreachable. In this time, the coordinator polls a target at least
	// three times.
	reusePatience = 6 * time.Second
	// reusePoll is the setting poll_every of the coordinator.
	reusePoll = time.Second
	// reuseTTL is the TTL of all leases in the scenario.
	reuseTTL = 6 * time.Second
	// reuseBound is the time within which the lease of a killed process must expire: the TTL,
	// one second because the coordinator checks leases once a second, and one second for a
	// busy machine.
	reuseBound = reuseTTL + 2*time.Second
	// reuseStays is the time for which the killed targets must stay published as dead.
	reuseStays = 8 * time.Second
	// reuseReport is the time within which a reported state must be published. It is
	// longer than in other scenarios, because the servers have just started.
	reuseReport = 3 * time.Second
	// reuseBack is the time from the restart of a killed target until its service must have
	// the expected state. It includes the start of the process.
	reuseBack = 15 * time.Second
	// reuseOthers is the number of targets without a fault. With so many targets, the 20
	// killed targets are only a fifth of the mesh, and the mass-failure guard does not trip.
	reuseOthers = 60
)

// reuse is a scenario. It kills targets, and starts other servers at the addresses of the targets
// at once. The lease of a killed target must expire, even if another server answers at its
// address. A static target must have the status that the new server answers. Then the killed
// targets are started again, some at new addresses and some at their old addresses.
func reuse(r *rig, v *Verdict) error {
	if err := r.start(settings{unreachable: reusePatience, poll: reusePoll, policy: undamped}); err != nil {
		return err
	}
	r.bounds.Report = reuseReport
	sets := []*reuseSet{newReuseSet(r, true), newReuseSet(r, false)}
	killed := slices.Concat(sets[0].killed, sets[1].killed)
	if err := hostReused(r, sets, killed); err != nil {
		return err
	}
	for _, s := range sets {
		if err := s.replaceTargets(); err != nil {
			return err
		}
	}
	if err := r.wait(reuseBound + reuseStays); err != nil {
		return err
	}
	if err := requireRoutable(r, v, killed); err != nil {
		return err
	}
	return restartKilled(r, v, sets)
}

// hostReused starts all targets of the scenario "reuse", and waits until they are SERVING.
func hostReused(r *rig, sets []*reuseSet, killed []*killedTarget) error {
	services := servicesOf(idsOf(killed))
	r.record.add(serving, reuseBack, services...)
	others, err := r.hostOthers(reuseOthers)
	if err != nil {
		return err
	}
	partners, err := r.host(groupsOf(killed, (*killedTarget).partnerGroup)...)
	if err != nil {
		return err
	}
	hosts := []*hostProcess{others, partners}
	for _, s := range sets {
		if err := s.openTargets(); err != nil {
			return err
		}
		hosts = append(hosts, s.host)
	}
	if err := r.waitUntilServing(hosts...); err != nil {
		return err
	}
	r.progress("%d targets are SERVING; %d are killed, and other servers take their addresses", len(ids(hosts...)), len(killed))
	return r.watcher.waitFor(r.ctx, "every service is SERVING", allConfirmed(serving, services))
}

// restartKilled starts the killed targets again. It requires that they are SERVING, and stay
// SERVING for longer than a lease lasts.
func restartKilled(r *rig, v *Verdict, sets []*reuseSet) error {
	r.progress("the killed targets return: %d at other addresses, %d at their old ones", len(sets[0].killed), len(sets[1].killed))
	for _, s := range sets {
		if err := s.restartTargets(); err != nil {
			return err
		}
	}
	if _, err := r.watcher.waitAtMost(r.ctx, reuseBack, matchesTruth(r.record, nil)); err != nil {
		return err
	}
	if err := r.wait(reuseBound); err != nil {
		return err
	}
	truths, _ := r.record.read()
	r.countErrors(v, len(instancesOf(truths)))
	return nil
}

// requireRoutable requires that List of the coordinator shows the right number of routable
// instances (SERVING or DEGRADED) for each service of a killed target.
func requireRoutable(r *rig, v *Verdict, all []*killedTarget) error {
	c, err := r.newClient()
	if err != nil {
		return err
	}
	entries, err := list(r.ctx, c, nil)
	if err != nil {
		return err
	}
	got := map[health.ID]*pb.Counts{}
	for _, h := range entries {
		got[health.ID{Service: h.GetService(), Instance: h.GetInstance()}] = h.GetCounts()
	}
	for _, k := range all {
		wantUp, wantAll := k.routable()
		up, all := routableOf(got[k.service()])
		v.require(up == wantUp && all == wantAll, "%s: %d/%d instances are routable, want %d/%d", k.service(), up, all, wantUp, wantAll)
	}
	return nil
}

// routableOf returns from the counts n of a service how many instances are routable (SERVING or
// DEGRADED), and how many instances the service has.
func routableOf(n *pb.Counts) (routable, all int) {
	up := n.GetServing() + n.GetDegraded()
	rest := n.GetNotServing() + n.GetUnknown() + n.GetStarting() + n.GetDraining() + n.GetMaintenance()
	return int(up), int(up + rest)
}

// instancesOf returns the names of the instances in truths, sorted and without duplicates. Truths
// about services are ignored.
func instancesOf(truths []Truth) []health.ID {
	var all []health.ID
	for _, t := range truths {
		if t.ID.Instance != "" {
			all = append(all, t.ID)
		}
	}
	slices.SortFunc(all, health.ID.Compare)
	return slices.Compact(all)
}
