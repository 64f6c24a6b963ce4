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

// deploy replaces every target of every service by a new one, one after the
// other, as a rolling deployment with surge does. No service may be anything but
// SERVING.
func deploy(r *rig, v *Verdict) error {
	if err := r.begin(settings{}); err != nil {
		return err
	}
	n := deployServices * deployEach
	h, err := r.host(Group{Kind: kindOurs, Service: "rolling", Targets: n, Each: deployEach, Leased: true})
	if err != nil {
		return err
	}
	if err := r.settle(h); err != nil {
		return err
	}
	services := servicesOf(ids(h))
	if err := r.main.until(r.ctx, "every service is SERVING", confirmed(serving, services)); err != nil {
		return err
	}
	r.say("%d targets of %d services are SERVING; each is replaced by a new one", n, len(services))
	began := time.Now()
	if err := h.obey(r.ctx, Order{Do: doRoll}); err != nil {
		return err
	}
	v.note("all were replaced within %v", time.Since(began).Round(100*time.Millisecond))
	if err := r.main.until(r.ctx, "every target is as it is", settled(r.record, nil)); err != nil {
		return err
	}
	r.wants(v, services, serving)
	r.judge(v, n)
	return nil
}

// servicesOf names the services of targets.
func servicesOf(all []health.ID) []health.ID {
	var services []health.ID
	for _, id := range all {
		services = append(services, health.ID{Service: id.Service})
	}
	slices.SortFunc(services, health.ID.Compare)
	return slices.Compact(services)
}

// wants fails the scenario for every state but these that services were in.
func (r *rig) wants(v *Verdict, services []health.ID, allowed ...State) {
	seen, _ := r.main.read()
	var wrong []string
	for _, s := range seen {
		if s.At.After(r.from) && slices.Contains(services, s.ID) && !slices.Contains(allowed, s.State) {
			wrong = append(wrong, fmt.Sprintf("%s was %s (%s) at %s", s.ID, s.State, s.Cause, clock(s.At)))
		}
	}
	v.require(len(wrong) == 0, "services were what they should not have been, %d times: %s", len(wrong), inWords(wrong))
}
