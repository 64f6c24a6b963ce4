package mesh

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
)

// dumbService is the published state of a service, in all zones or in one.
type dumbService struct{ *health.State }

// counts reports whether the service counts for the mesh.
func (s dumbService) counts() bool {
	return !s.Counts.Optional && s.Status != health.Starting && s.Status != health.Draining && s.Status != health.Maintenance
}

// having returns the services for which ok returns true.
func having(services []dumbService, ok func(dumbService) bool) (some []dumbService) {
	for _, s := range services {
		if ok(s) {
			some = append(some, s)
		}
	}
	return some
}

// are returns a function that reports whether a service has one of these statuses.
func are(statuses ...health.Status) func(dumbService) bool {
	return func(s dumbService) bool {
		for _, is := range statuses {
			if s.Status == is {
				return true
			}
		}
		return false
	}
}

// dumbZone is a simple model of the rules for the mesh and its zones.
func dumbZone(p *health.MeshPolicy, services []dumbService) health.Status {
	if p.MeshRule == health.Worst {
		return dumbWorst(services)
	}
	count := having(services, dumbService.counts)
	critical := having(count, func(s dumbService) bool { return s.Counts.Critical })
	normal := having(count, func(s dumbService) bool { return !s.Counts.Critical })
	tooFew := func(n int) bool { return n*100 < p.MeshMinAvailable*len(normal) || n == 0 && len(normal) > 0 }
	switch {
	case len(services) == 0:
		return health.Unknown
	case len(count) == 0:
		return worstOfAll(services)
	case len(having(count, are(health.Unknown))) == len(count):
		return health.Unknown
	case len(having(critical, are(health.NotServing))) > 0, tooFew(len(having(normal, are(health.Serving, health.Degraded, health.Unknown)))):
		return health.NotServing
	case tooFew(len(having(normal, are(health.Serving, health.Degraded)))):
		return health.Unknown
	case len(having(count, are(health.NotServing, health.Degraded, health.Unknown))) > 0:
		return health.Degraded
	}
	return health.Serving
}

// worstOfAll returns the status if no service counts.
func worstOfAll(services []dumbService) health.Status {
	for _, s := range []health.Status{health.Starting, health.NotServing, health.Unknown, health.Draining, health.Maintenance, health.Degraded} {
		if len(having(services, are(s))) > 0 {
			return s
		}
	}
	return health.Serving
}

func dumbWorst(services []dumbService) health.Status {
	needed := having(services, func(s dumbService) bool { return !s.Counts.Optional })
	count := having(needed, dumbService.counts)
	switch {
	case len(services) == 0:
		return health.Unknown
	case len(needed) == 0:
		return health.Serving
	case len(count) == 0:
		return worstOfAll(needed)
	case len(having(count, are(health.Unknown))) == len(count):
		return health.Unknown
	case len(having(count, are(health.NotServing))) > 0:
		return health.NotServing
	case len(having(count, are(health.Serving))) == len(count):
		return health.Serving
	}
	return health.Degraded
}

// compareZone compares the mesh, or a zone, with the services in it.
func (dm *dumbMesh) compareZone(zone *health.State, services []dumbService) error {
	want := health.Counts{Rule: dm.policy.MeshRule, Counted: len(having(services, dumbService.counts))}
	for _, s := range services {
		want.By[s.Status]++
	}
	if want.Rule != health.Worst {
		normal := having(services, func(s dumbService) bool { return s.counts() && !s.Counts.Critical })
		want.Normal, want.Routable = len(normal), len(having(normal, are(health.Serving, health.Degraded)))
		for ; want.Need < want.Normal && (want.Need*100 < dm.policy.MeshMinAvailable*want.Normal || want.Need == 0); want.Need++ {
		}
		want.CriticalDown = len(having(services, func(s dumbService) bool { return s.Counts.Critical && s.Status == health.NotServing }))
	}
	status := dumbZone(&dm.policy, services)
	unconfirmed := status == health.Unknown && dm.amnesty && len(services) > 0
	if unconfirmed {
		status = health.Degraded
	}
	if zone.Status != status || zone.Unconfirmed != unconfirmed || *zone.Counts != want {
		return fmt.Errorf("%s is %s (unconfirmed: %v) %+v\ndumb: %s (%v) %+v", zone.ID, zone.Status, zone.Unconfirmed, *zone.Counts, status, unconfirmed, want)
	}
	return nil
}
