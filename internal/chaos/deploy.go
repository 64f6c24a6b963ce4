package chaos

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	deployServices = 100
	deployEach     = 20
)

// deploy is a scenario. It makes a rolling deployment: it replaces the targets of each service by
// new targets, one after the other. Each new target starts before the old one drains. Every
// service must be SERVING all the time.
func deploy(r *rig, v *Verdict) error {
	if err := r.start(settings{}); err != nil {
		return err
	}
	n := deployServices * deployEach
	h, err := r.host(Group{Kind: kindOurs, Service: "rolling", Targets: n, Each: deployEach, Leased: true})
	if err != nil {
		return err
	}
	if err := r.waitUntilServing(h); err != nil {
		return err
	}
	services := servicesOf(ids(h))
	if err := r.watcher.waitFor(r.ctx, "every service is SERVING", allConfirmed(serving, services)); err != nil {
		return err
	}
	r.progress("%d targets of %d services are SERVING; each is replaced by a new one", n, len(services))
	began := time.Now()
	if err := h.run(r.ctx, Command{Do: commandRoll}); err != nil {
		return err
	}
	v.note("all were replaced within %v", time.Since(began).Round(100*time.Millisecond))
	if err := r.watcher.waitFor(r.ctx, "every target is published with its true state", matchesTruth(r.record, nil)); err != nil {
		return err
	}
	r.requireStates(v, services, serving)
	r.countErrors(v, n)
	return nil
}

// servicesOf returns the names of the services of these targets, sorted and without
// duplicates.
func servicesOf(all []health.ID) []health.ID {
	var services []health.ID
	for _, id := range all {
		services = append(services, health.ID{Service: id.Service})
	}
	slices.SortFunc(services, health.ID.Compare)
	return slices.Compact(services)
}

// requireStates adds a failure to v if one of the services was published with a state that is
// not in allowed.
func (r *rig) requireStates(v *Verdict, services []health.ID, allowed ...State) {
	seen, _ := r.watcher.read()
	var wrong []string
	for _, s := range seen {
		if s.At.After(r.countFrom) && slices.Contains(services, s.ID) && !slices.Contains(allowed, s.State) {
			wrong = append(wrong, fmt.Sprintf("%s was %s (%s) at %s", s.ID, s.State, s.Cause, clock(s.At)))
		}
	}
	v.require(len(wrong) == 0, "services were published with a wrong state %d times: %s", len(wrong), joinFaults(wrong))
}

const (
	scaleFrom = 3
	scaleTo   = 30
)

// scale is a scenario. It starts many instances of a service at once, and then stops all of them.
// The service must be SERVING until the instances stop. Afterwards it may be DRAINING for some
// time, and must be removed in the end.
func scale(r *rig, v *Verdict) error {
	if err := r.start(settings{}); err != nil {
		return err
	}
	h, err := r.host(Group{Kind: kindOurs, Service: "elastic", Targets: scaleFrom, Each: scaleFrom, Leased: true})
	if err != nil {
		return err
	}
	if err := r.waitUntilServing(h); err != nil {
		return err
	}
	service := health.ID{Service: "elastic-0"}
	r.progress("%d instances are SERVING; starting %d more", scaleFrom, scaleTo-scaleFrom)
	if err := h.run(r.ctx, Command{Do: commandGrow, Service: "elastic", Count: scaleTo - scaleFrom}); err != nil {
		return err
	}
	if err := r.watcher.waitFor(r.ctx, "all instances are SERVING", matchesTruth(r.record, nil)); err != nil {
		return err
	}
	r.requireStates(v, []health.ID{service}, serving)
	r.progress("all instances drain")
	if err := h.run(r.ctx, Command{Do: commandStopAll}); err != nil {
		return err
	}
	if err := r.watcher.waitFor(r.ctx, "all instances are removed", matchesTruth(r.record, nil)); err != nil {
		return err
	}
	r.requireStates(v, []health.ID{service}, serving, draining, Gone)
	r.countErrors(v, scaleTo)
	return nil
}
