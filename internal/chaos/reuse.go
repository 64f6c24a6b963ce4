package chaos

import (
	"slices"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

const (
	// reusePatience replaces the 15 s of unreachable_after, so that the coordinator
	// polls targets at least every 2 s.
	reusePatience = 6 * time.Second
	reusePoll     = time.Second
	// reuseTTL is the TTL of the leases. The lease of a dead process must expire within
	// reuseBound. The coordinator checks leases once a second, and one second is for a
	// busy machine.
	reuseTTL   = 6 * time.Second
	reuseBound = reuseTTL + 2*time.Second
	// reuseStays is how long the killed targets must stay published as dead.
	reuseStays = 8 * time.Second
	// reuseReport replaces the bound of reports, because the occupants have just
	// started.
	reuseReport = 3 * time.Second
	// reuseBack is the bound for the state of a service when its killed target returns.
	// It includes the start of the process.
	reuseBack = 15 * time.Second
	// reuseOthers is the number of other targets. With them the killed targets are less
	// than a third of the mesh, so the guard does not trip.
	reuseOthers = 60
)

// reuse kills processes, and other servers take their addresses at once. The lease of a
// dead process must expire, even if another server answers at its address. A static
// target has the status that its address answers. Then the killed targets return, some
// at other addresses and some at their old ones.
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

// hostReused starts all targets and waits until they are SERVING.
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

// restartKilled requires that the killed targets are SERVING again, and stay so for
// longer than a lease lasts.
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

// requireRoutable requires that the services of the killed targets count the right
// number of routable instances.
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

// routableOf returns how many instances are routable, and how many there are.
func routableOf(n *pb.Counts) (routable, all int) {
	up := n.GetServing() + n.GetDegraded()
	rest := n.GetNotServing() + n.GetUnknown() + n.GetStarting() + n.GetDraining() + n.GetMaintenance()
	return int(up), int(up + rest)
}

// instancesOf returns the instances that have a truth, sorted and without duplicates.
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
