package resolver

import (
	"cmp"
	"math"
	"slices"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/experimental/balancer/weight"
	grpcresolver "google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/ringhash"
	"google.golang.org/grpc/serviceconfig"
)

// draw returns a random number from 0 up to 1 for a text. A channel always gets the same number for
// the same text, so that its list changes no more than the instances do.
type draw func(text string) float64

// drawOfChannel is the text of a draw that is not for an instance. No instance has such a name.
const drawOfChannel = "/"

// weighted is an instance with the weight that a list gives it.
type weighted struct {
	*routed
	weight uint32
}

// byWeights returns the list for policies that read weights: all instances with a share. It is the same
// for all callers.
func byWeights(all []routed) []weighted {
	var list []weighted
	for i := range all {
		if r := &all[i]; r.priority == 0 {
			list = append(list, weighted{r, r.weight})
		}
	}
	return list
}

// bySubset returns the list for policies that do not read weights: the healthy instances, and so many
// degraded ones that equal traffic for each gives the degraded ones their share on average over
// channels. The list is in the order of preference of pick_first.
func bySubset(all []routed, random draw) []weighted {
	share, healthy, degraded := degradedShare(all)
	drawn := random(drawOfChannel)
	degradedFirst := drawn >= 1-share
	if healthy > 0 {
		// If degradedFirst is true, the result is at least 1.
		degraded = int(float64(healthy)*share/(1-share) + drawn)
	}
	list := make([]weighted, 0, healthy+degraded)
	for i := range all {
		list = append(list, weighted{&all[i], all[i].registered})
	}
	order := make(map[string]float64, len(list))
	for _, w := range list {
		// The smaller value comes first. An instance with twice the weight comes first twice as often.
		order[w.instance] = -math.Log(1-random(w.instance)) / float64(w.registered)
	}
	slices.SortFunc(list, func(a, b weighted) int {
		return cmp.Or(compareBools(a.degraded, b.degraded), cmp.Compare(order[a.instance], order[b.instance]), cmp.Compare(a.instance, b.instance))
	})
	list = list[:min(len(list), healthy+degraded)]
	slices.SortStableFunc(list, func(a, b weighted) int {
		return cmp.Or(compareBools(a.degraded != degradedFirst, b.degraded != degradedFirst), cmp.Compare(a.distance, b.distance))
	})
	return list
}

// compareBools orders false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// allKey is the key of the attribute of a state that has all instances, for the policy of this package.
type allKey struct{}

// stateOf returns the state for a channel.
func stateOf(all []routed, list []weighted, config *serviceconfig.ParseResult) grpcresolver.State {
	s := grpcresolver.State{ServiceConfig: config, Attributes: attributes.New(allKey{}, &all)}
	for _, w := range list {
		e := w.endpoint(w.weight)
		s.Endpoints = append(s.Endpoints, e)
		s.Addresses = append(s.Addresses, e.Addresses...) // for policies that do not know endpoints
	}
	return s
}

// endpoint returns the instance as policies get it. The place of the instance on a hash ring follows
// from its name, and so it stays when the address changes.
func (r *routed) endpoint(w uint32) grpcresolver.Endpoint {
	e := grpcresolver.Endpoint{Addresses: []grpcresolver.Address{{Addr: r.address.String()}}}
	return ringhash.SetHashKey(weight.Set(e, weight.EndpointInfo{Weight: w}), r.instance)
}
