package resolver

import (
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/balancer/endpointsharding"
	"google.golang.org/grpc/balancer/pickfirst"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/experimental/balancer/weight"
	grpcresolver "google.golang.org/grpc/resolver"
)

// Policy is the name of the load balancing policy of this package. It has no settings.
//
// It connects to all instances that may receive traffic, and divides calls among the connected ones by
// their weights. Instances that have no share get calls only while it can connect to no other, or has
// tried to for 10 s. With the endpoints of another resolver, it divides calls by the weight of each endpoint.
const Policy = "meshhealth"

func init() { balancer.Register(builder{}) }

type builder struct{}

// Name implements balancer.Builder.
func (builder) Name() string { return Policy }

// Build implements balancer.Builder.
func (builder) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	p := &policy{ClientConn: cc, failure: errors.New("no endpoint is known yet")}
	p.child = endpointsharding.NewBalancer(p, o, balancer.Get(pickfirst.Name).Build, endpointsharding.Options{})
	return p
}

// policy has one pick_first child for each endpoint. It receives their states as the ClientConn of
// endpointsharding.
type policy struct {
	balancer.ClientConn
	child balancer.Balancer

	// mu is held while a state is passed on, so that the latest one comes last.
	mu       sync.Mutex
	failure  error // the reason to give while there is no endpoint
	children []endpointsharding.ChildState
	// timer runs while the endpoints with priority 0 have time to connect. It is nil otherwise.
	timer *time.Timer
	// late reports that this time is over, or that all of them have failed. They get no time again
	// before one of them was connected.
	late bool
}

// connectTime is how long lower priorities wait for the endpoints with priority 0. The priority policy
// of gRPC has the same.
const connectTime = 10 * time.Second

// UpdateClientConnState implements balancer.Balancer.
func (p *policy) UpdateClientConnState(s balancer.ClientConnState) error {
	s.ResolverState.Endpoints = sharedEndpoints(&s.ResolverState)
	return p.child.UpdateClientConnState(balancer.ClientConnState{ResolverState: pickfirst.EnableHealthListener(s.ResolverState)})
}

// ResolverError implements balancer.Balancer.
func (p *policy) ResolverError(err error) {
	p.mu.Lock()
	p.failure = errors.New("name resolver error: " + err.Error()) // without a status, so that calls may wait for ready
	p.mu.Unlock()
	p.child.ResolverError(err)
}

// UpdateSubConnState implements balancer.Balancer. gRPC does not call it.
func (p *policy) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {}

// ExitIdle implements balancer.Balancer.
func (p *policy) ExitIdle() { p.child.ExitIdle() }

// Close implements balancer.Balancer.
func (p *policy) Close() {
	p.child.Close() // it sends no state afterwards
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopTimer()
}

// UpdateState implements balancer.ClientConn. It replaces the picker of endpointsharding.
func (p *policy) UpdateState(s balancer.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.children = endpointsharding.ChildStatesFromPicker(s.Picker)
	p.wait()
	p.pass()
}

// wait decides whether lower priorities wait. The caller must hold p.mu.
func (p *policy) wait() {
	first := func(c endpointsharding.ChildState) bool { return sharedOf(&c).priority == 0 }
	switch ready, connecting := at(p.children, 0); {
	case len(ready) > 0 || !slices.ContainsFunc(p.children, first):
		p.late = false
		p.stopTimer()
	case !connecting:
		p.late = true
		p.stopTimer()
	case !p.late && p.timer == nil:
		var timer *time.Timer
		timer = time.AfterFunc(connectTime, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.timer == timer {
				p.timer, p.late = nil, true
				p.pass()
			}
		})
		p.timer = timer
	}
}

// stopTimer ends the time to connect. The caller must hold p.mu.
func (p *policy) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}

// pass passes the state on. The caller must hold p.mu.
func (p *policy) pass() {
	if len(p.children) == 0 {
		p.ClientConn.UpdateState(balancer.State{ConnectivityState: connectivity.TransientFailure, Picker: base.NewErrPicker(p.failure)})
		return
	}
	p.ClientConn.UpdateState(combined(p.children, p.late))
}

// sharedEndpoints returns the endpoints of a state, each with its part in the traffic.
func sharedEndpoints(s *grpcresolver.State) []grpcresolver.Endpoint {
	all, ours := s.Attributes.Value(allKey{}).(*[]routed)
	if !ours {
		endpoints := make([]grpcresolver.Endpoint, len(s.Endpoints))
		for i, e := range s.Endpoints {
			e.Attributes = e.Attributes.WithValue(sharedKey{}, shared{weight: max(1, weight.FromEndpoint(e).Weight)})
			endpoints[i] = e
		}
		return endpoints
	}
	endpoints := make([]grpcresolver.Endpoint, len(*all))
	for i := range *all {
		r := &(*all)[i]
		e := r.endpoint(r.preferred)
		e.Attributes = e.Attributes.WithValue(sharedKey{}, shared{r.priority, r.preferred})
		endpoints[i] = e
	}
	return endpoints
}
