package resolver

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/routing"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// keepMissing is how long an instance is kept that a restarted coordinator does not know. By then a
// running instance has renewed its lease, and so it has registered again.
const keepMissing = wire.MaxTTL

// known is what the coordinator has said about the instances of one service.
type known struct {
	service   string
	instances map[string]*instance // by name
}

// instance is what is known of one instance.
type instance struct {
	routing.Endpoint
	// hidden reports that the coordinator does not show addresses of the instance.
	hidden bool
	// target is the HOST:PORT for traffic as it was registered. It is empty if it was never shown.
	target string
	// epoch is the epoch of the coordinator that has last sent the instance.
	epoch uint64
	// missing is the time at which a restarted coordinator did not know the instance. It is zero if
	// the coordinator knows it.
	missing time.Time
}

// apply changes what is known of one instance. e is an entry of the service.
func (k *known) apply(e *client.Entry, epoch uint64) {
	if _, zone := e.ID.Zone(); zone || e.ID.Instance == "" {
		return
	}
	if e.Removed || e.Unregistered {
		delete(k.instances, e.ID.Instance)
		return
	}
	next := &instance{
		Endpoint: routing.Endpoint{Instance: e.ID.Instance, Address: e.Endpoint, Route: e.Route},
		epoch:    epoch,
	}
	if e.Spec != nil {
		next.hidden = e.Spec.Address == ""
		next.target = cmp.Or(wire.TrafficAddress(e.Spec.Traffic.Address, e.Spec.Address), e.Spec.Address)
		next.Weight, next.Region, next.Zone = e.Spec.Traffic.EffectiveWeight(), e.Spec.Region, e.Spec.Zone
	}
	next.keep(k.instances[e.ID.Instance])
	k.instances[e.ID.Instance] = next
}

// keep copies from the earlier state before what the coordinator does not know any more. Without a
// route the status was never known to this coordinator. Without an address it may not be shown, or the
// host name is not resolved yet: then the earlier address is right only for the same target.
func (i *instance) keep(before *instance) {
	if before == nil {
		return
	}
	if i.Route == health.RouteNone {
		i.Route = before.Route
	}
	i.target = cmp.Or(i.target, before.target)
	if !i.Address.IsValid() && i.target == before.target {
		i.Address = before.Address
	}
}

// endSnapshot marks or removes the instances that a complete snapshot of an epoch does not have. They
// are the instances that are not in seen.
func (k *known) endSnapshot(seen map[health.ID]bool, epoch uint64, now time.Time) {
	for name, i := range k.instances {
		switch {
		case seen[health.ID{Service: k.service, Instance: name}]:
		case i.epoch == epoch:
			delete(k.instances, name)
		case i.missing.IsZero():
			i.missing = now
		}
	}
	k.expire(now)
}

// expire removes the missing instances that are known to be gone, and reports whether there were any.
// They were missing for too long, or a present instance has their address: a process that has restarted
// under another name. While no instance is present, none is removed.
func (k *known) expire(now time.Time) (removed bool) {
	var missing []*instance
	for _, i := range k.instances {
		if !i.missing.IsZero() {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 || len(missing) == len(k.instances) {
		return false
	}
	taken := make(map[netip.AddrPort]bool, len(k.instances)) // by instances that are present
	for _, i := range k.instances {
		if i.missing.IsZero() && i.Address.IsValid() {
			taken[unmapped(i.Address)] = true
		}
	}
	for _, i := range missing {
		if taken[unmapped(i.Address)] || now.Sub(i.missing) >= keepMissing {
			delete(k.instances, i.Instance)
			removed = true
		}
	}
	return removed
}

// unmapped returns an address in one form: an IPv4 address has two.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// endpoints returns the instances in no particular order.
func (k *known) endpoints() []routing.Endpoint {
	list := make([]routing.Endpoint, 0, len(k.instances))
	for _, i := range k.instances {
		list = append(list, i.Endpoint)
	}
	return list
}

// errHidden reports that the coordinator does not show addresses to this process.
var errHidden = errors.New("the coordinator does not show the addresses of instances to this client; " +
	"it may need a client certificate that the coordinator trusts: set client.Config.Credentials")

// problemKind says what prevents calls to instances of a service.
type problemKind uint8

const (
	noProblem problemKind = iota
	noInstance
	hiddenAddresses
)

// problem returns what prevents calls to some instances that should get traffic, or to all. The error
// is nil if nothing does.
func (k *known) problem() (problemKind, error) {
	if len(k.instances) == 0 {
		return noInstance, fmt.Errorf("%s: the coordinator knows no instance of this service", k.service)
	}
	var counts [health.NumRoutes]int
	var usable, hidden, unresolved int
	for _, i := range k.instances {
		counts[i.Route]++
		switch routable := i.Route.Routable(); {
		case routable && i.hidden:
			hidden++
		case routable && i.Address.IsValid():
			usable++
		case routable:
			unresolved++
		}
	}
	switch {
	case hidden > 0:
		return hiddenAddresses, fmt.Errorf("%s: %w", k.service, errHidden)
	case usable > 0:
		return noProblem, nil
	case unresolved > 0:
		return noInstance, fmt.Errorf("%s: the coordinator has resolved the host name of no instance yet", k.service)
	}
	return noInstance, fmt.Errorf("%s: no instance may receive traffic: %s", k.service, describe(counts))
}

// describe returns the numbers of instances by route, such as "2 UNHEALTHY, 1 of unknown status".
func describe(counts [health.NumRoutes]int) string {
	var parts []string
	for r := range health.NumRoutes {
		name := r.String()
		if r == health.RouteNone {
			name = "of unknown status"
		}
		if n := counts[r]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(parts, ", ")
}
