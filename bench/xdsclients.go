package main

import (
	"fmt"
	"net/rpc"
	"strings"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// xdsProcess is a child process with an xDS server, and clients of the server in this process.
type xdsProcess struct {
	*rig
	*process
	mesh     *xdsMesh
	address  string
	control  *rpc.Client
	clients  int
	arrivals chan time.Time // has a time for each client that has received a change
}

// xdsProcess starts a child process of the given kind. The capacity is the largest number of
// clients.
func (r *rig) xdsProcess(kind string, mesh *xdsMesh, capacity int) (*xdsProcess, error) {
	p, err := r.process(kind, mesh.args()...)
	if err != nil {
		return nil, err
	}
	address, controlAt, _ := strings.Cut(p.at, " ")
	control, err := rpc.Dial("tcp", controlAt)
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { _ = control.Close() })
	return &xdsProcess{r, p, mesh, address, control, 0, make(chan time.Time, capacity)}, nil
}

// bothXDS starts our xDS server and the peer, in this order.
func (r *rig) bothXDS(mesh *xdsMesh, capacity int) (both [2]*xdsProcess, err error) {
	for i, kind := range []string{"xds", "LinearCache"} {
		if both[i], err = r.xdsProcess(kind, mesh, capacity); err != nil {
			return both, err
		}
	}
	return both, nil
}

// connect adds delta clients, one after the other, until there are n. Each has a connection of its
// own and names all services. It returns the live heap of the server and the memory of its stacks,
// after all clients have accepted all services.
func (p *xdsProcess) connect(n int) (memory [2]uint64, err error) {
	for ; p.clients < n; p.clients++ {
		if err := p.connectOne(); err != nil {
			return memory, err
		}
	}
	return memory, p.control.Call("XDSControl.Ready", n, &memory)
}

func (p *xdsProcess) connectOne() error {
	// LinearCache sends all resources of a client in one response of many megabytes.
	conn, err := grpc.NewClient(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(256<<20), grpc.ForceCodecV2(newRawDeltaCodec())))
	if err != nil {
		return err
	}
	p.undo = append(p.undo, func() { _ = conn.Close() })
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(p.ctx)
	if err != nil {
		return err
	}
	req := &discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: name("client", p.clients)}, TypeUrl: resource.EndpointType}
	for i := range p.mesh.services {
		req.ResourceNamesSubscribe = append(req.ResourceNamesSubscribe, name("service", i))
	}
	if err := stream.Send(req); err != nil {
		return err
	}
	for missing := p.mesh.services; missing > 0; {
		got, _, err := receiveDelta(stream)
		if err != nil {
			return err
		}
		if missing -= got; got == 0 {
			return fmt.Errorf("a response without resources while %d are missing", missing)
		}
	}
	p.start(func() error {
		for {
			_, at, err := receiveDelta(stream)
			if err != nil {
				return err
			}
			p.arrivals <- at
		}
	})
	return nil
}

// receiveDelta receives a response and accepts it. It returns the number of its resources, and the
// time of its arrival.
func receiveDelta(stream grpc.ClientStream) (resources int, at time.Time, err error) {
	var m rawDelta
	if err := stream.RecvMsg(&m); err != nil {
		return 0, at, err
	}
	at = time.Now()
	return m.resources, at, stream.SendMsg(&discoverypb.DeltaDiscoveryRequest{TypeUrl: resource.EndpointType, ResponseNonce: m.nonce})
}

// xdsTimes are the results of the flips of one round.
type xdsTimes struct {
	last times         // from the change until the last client had it
	call times         // the call that gives the change to the server
	cpu  time.Duration // CPU time of the server for each flip, with the acknowledgements
}

// flips makes n flips, one after the other. n is even, so that the first endpoint is healthy in the
// end.
func (p *xdsProcess) flips(n int) (t xdsTimes, err error) {
	before, err := p.cpu()
	if err != nil {
		return t, err
	}
	for i := range n {
		var f XDSFlip
		if err := p.control.Call("XDSControl.Flip", i%2 == 1, &f); err != nil {
			return t, err
		}
		var last time.Duration
		for range p.clients {
			select {
			case at := <-p.arrivals:
				last = max(last, time.Duration(at.UnixNano()-f.Began))
			case err := <-p.fails:
				return t, err
			}
		}
		t.last, t.call = append(t.last, last), append(t.call, f.Took)
		if err := p.control.Call("XDSControl.Settle", p.clients, nil); err != nil {
			return t, err
		}
	}
	after, err := p.cpu()
	t.cpu = (after - before) / time.Duration(n)
	return t, err
}
