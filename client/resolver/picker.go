package resolver

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/balancer/endpointsharding"
	"google.golang.org/grpc/connectivity"
)

// combined returns the state of a channel whose endpoints have these states. A lower priority counts
// only if every endpoint of the higher ones has failed, or if late is true: then the endpoints with
// priority 0 had enough time to connect.
func combined(children []endpointsharding.ChildState, late bool) balancer.State {
	var waiting bool
	for priority := range uint32(2) {
		ready, connecting := at(children, priority)
		if len(ready) > 0 {
			return balancer.State{ConnectivityState: connectivity.Ready, Picker: newPicker(ready)}
		}
		if waiting = waiting || connecting; waiting && !late {
			break
		}
	}
	if waiting {
		return balancer.State{ConnectivityState: connectivity.Connecting, Picker: base.NewErrPicker(balancer.ErrNoSubConnAvailable)}
	}
	return balancer.State{ConnectivityState: connectivity.TransientFailure, Picker: children[0].State.Picker}
}

// at returns the endpoints of a priority that are connected. connecting reports that others have not
// failed.
func at(children []endpointsharding.ChildState, priority uint32) (ready []endpointsharding.ChildState, connecting bool) {
	for _, c := range children {
		switch {
		case sharedOf(&c).priority != priority:
		case c.State.ConnectivityState == connectivity.Ready:
			ready = append(ready, c)
		case c.State.ConnectivityState != connectivity.TransientFailure:
			connecting = true // it connects, or is idle and about to connect
		}
	}
	return ready, connecting
}

// shared is the part of an endpoint in the traffic.
type shared struct{ priority, weight uint32 }

// sharedKey is the key of the attribute of an endpoint whose value is a shared.
type sharedKey struct{}

func sharedOf(c *endpointsharding.ChildState) shared {
	s, _ := c.Endpoint.Attributes.Value(sharedKey{}).(shared)
	return s
}

// golden is 2^64 divided by the golden ratio. The multiples of golden, modulo 2^64, are spread evenly:
// any number of calls in a row is divided almost exactly by the weights.
const golden = 0x9E3779B97F4A7C15

// picker divides calls among pickers by weight. It needs no lock.
type picker struct {
	pickers []balancer.Picker
	ends    []uint64 // sum of the weights up to and including each picker
	last    atomic.Uint64
}

func newPicker(ready []endpointsharding.ChildState) *picker {
	p := &picker{}
	var sum uint64
	for _, c := range ready {
		sum += uint64(max(1, sharedOf(&c).weight))
		p.pickers, p.ends = append(p.pickers, c.State.Picker), append(p.ends, sum)
	}
	p.last.Store(rand.Uint64()) // #nosec G404 -- the first endpoint of a picker
	return p
}

// Pick implements balancer.Picker.
func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	sum := p.ends[len(p.ends)-1]
	at, _ := bits.Mul64(p.last.Add(golden), sum) // from 0 to sum-1
	i, _ := slices.BinarySearch(p.ends, at+1)
	return p.pickers[i].Pick(info)
}
