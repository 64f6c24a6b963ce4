package chaos

import (
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	// stubPatience is the setting unreachable_after of the coordinator: the silence after
	// which a target is unreachable. After each third of this time, the coordinator compares
	// the Watch of a target with a Check.
	stubPatience = 6 * time.Second
	// stubPoll is the setting poll_every of the coordinator: the shortest allowed value.
	stubPoll = time.Second
	// stubTTL is the TTL of all leases in the scenario. It is short, so that a lease that is
	// not renewed expires before the scenario ends.
	stubTTL = 6 * time.Second
	// stubCrowd is the number of targets without a fault. With so many targets, only about a
	// third of the mesh is half-implemented, and the mass-failure guard does not trip.
	stubCrowd = 120
	// stubDwell is the time for which a true state must stay published.
	stubDwell = 8 * time.Second
)

// stubs is a scenario. It runs targets with half-implemented health services. Check or Watch of
// each target works correctly, so the coordinator can know the state of the target. All true
// states must be published.
func stubs(r *rig, v *Verdict) error {
	if err := r.start(settings{unreachable: stubPatience, poll: stubPoll, policy: undamped}); err != nil {
		return err
	}
	others, err := r.hostOthers(stubCrowd)
	if err != nil {
		return err
	}
	if err := r.waitUntilServing(others); err != nil {
		return err
	}
	static, err := r.host(stubGroups(false)...)
	if err != nil {
		return err
	}
	leased, err := r.host(stubGroups(true)...)
	if err != nil {
		return err
	}
	if err := r.register(static.staticRegistrations()); err != nil {
		return err
	}
	r.progress("%d kinds of half-implemented health services, static and leased", len(stubKinds))
	if err := changeStubs(r, static, leased); err != nil {
		return err
	}
	r.countErrors(v, len(ids(others, static, leased)))
	noteKinds(r, v, ids(static, leased))
	return nil
}

// hostOthers starts n targets without a fault. Half of them are leased targets of this
// library, and half are static targets with standard servers. Several targets share a server.
func (r *rig) hostOthers(n int) (*hostProcess, error) {
	return r.host(
		Group{Kind: kindOurs, Service: "other-leased", Targets: n / 2, Leased: true, PerAddress: n / 6},
		Group{Kind: kindStock, Service: "other-stock", Targets: n - n/2, PerAddress: n / 6},
	)
}

// stubGroups returns one group for each kind of half-implemented health service. Each group has
// one target. Only the group of the kind kindQuota has quotaShare targets that share a server.
func stubGroups(leased bool) (groups []Group) {
	for _, k := range stubKinds {
		g := Group{Kind: k.name, Service: k.name + "-static", Targets: 1, Each: 1}
		if leased {
			g.Service, g.Leased, g.TTL = k.name+"-leased", true, stubTTL
		}
		if k.name == kindQuota {
			g.Targets, g.PerAddress = quotaShare, quotaShare
		}
		groups = append(groups, g)
	}
	return groups
}

// changeStubs changes the states of all targets in hosts three times. After each change it waits
// until the new states are published. It then waits for stubDwell, in which the published states
// must not change.
func changeStubs(r *rig, hosts ...*hostProcess) error {
	if err := waitUntilPublished(r); err != nil {
		return err
	}
	for _, s := range []State{notServing, serving, notServing} {
		r.progress("the targets become %s", s)
		for _, h := range hosts {
			if err := h.run(r.ctx, Command{Do: commandSet, IDs: changingTargets(ids(h)), State: s}); err != nil {
				return err
			}
		}
		if err := waitUntilPublished(r); err != nil {
			return err
		}
	}
	return nil
}

// changingTargets returns the names of the targets that have a health service, so that their
// states can change.
func changingTargets(all []health.ID) (names []string) {
	for _, id := range all {
		if !stubNamed(stubKindOf(id)).noService {
			names = append(names, id.String())
		}
	}
	return names
}

// stubKindOf returns the name of the [stubKind] of a target. The service name of the target begins
// with this name.
func stubKindOf(id health.ID) string {
	for _, end := range []string{"-static-", "-leased-"} {
		if kind, _, ok := strings.Cut(id.Service, end); ok {
			return kind
		}
	}
	return ""
}

// waitUntilPublished waits until all targets are published with their true states, and then
// for stubDwell. It waits for at most one second more than Bounds.Stub in total.
func waitUntilPublished(r *rig) error {
	late := time.Now().Add(r.bounds.Stub + time.Second)
	if _, err := r.watcher.waitAtMost(r.ctx, r.bounds.Stub, matchesTruth(r.record, nil)); err != nil {
		return err
	}
	return r.wait(min(stubDwell, time.Until(late)))
}

// noteKinds adds a note about each service with errors to v. It requires that NOT_SERVING was
// published only with the cause "failed", since the only fault of a target is a reported failure.
func noteKinds(r *rig, v *Verdict, all []health.ID) {
	truths, gaps := r.record.read()
	seen, _ := r.watcher.read()
	services := servicesOf(all)
	right, causes := 0, 0
	for _, service := range services {
		c := &Case{Truths: truths, Seen: seen, Outages: gaps, From: r.countFrom, To: time.Now()}
		c = c.ofService(service.Service)
		n, foreign := Compare(c), foreignCauses(c.Seen)
		if causes += foreign; n.False+n.Missed+n.Late+foreign == 0 {
			right++
			continue
		}
		v.note("%s: %d false, %d missed, %d late, %d with another cause", service, n.False, n.Missed, n.Late, foreign)
	}
	v.note("%d of %d services were published with their true states", right, len(services))
	v.require(causes == 0, "NOT_SERVING was published %d times although the target had not reported a failure", causes)
}

// ofService returns a copy of c with the true states and the updates of the instances of one
// service. It leaves out all other true states and updates.
func (c *Case) ofService(service string) *Case {
	one := *c
	one.Truths = slices.DeleteFunc(slices.Clone(c.Truths), func(t Truth) bool { return t.ID.Service != service || t.ID.Instance == "" })
	one.Seen = slices.DeleteFunc(slices.Clone(c.Seen), func(s Seen) bool { return s.ID.Service != service || s.ID.Instance == "" })
	return &one
}

// foreignCauses returns how often NOT_SERVING was published with another cause than "failed",
// the cause of a reported failure.
func foreignCauses(seen []Seen) (n int) {
	for _, s := range seen {
		if s.State == notServing && s.Cause != health.CauseFailed.String() {
			n++
		}
	}
	return n
}
