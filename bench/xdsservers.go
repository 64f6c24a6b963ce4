package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/rpc"
	"os"
	"runtime"
	"strconv"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
	"github.com/meshhealth/meshhealth/internal/routing"
)

// xdsMesh is what an xDS server in a child process serves: services with equally many endpoints.
type xdsMesh struct {
	services int
	// addresses has an element for each endpoint of a service.
	addresses []netip.AddrPort
}

// args returns the mesh as arguments of a child process: the number of services, and either the
// number of endpoints or all addresses.
func (m *xdsMesh) args() []string {
	args := []string{strconv.Itoa(m.services)}
	for _, a := range m.addresses {
		args = append(args, a.String())
	}
	return args
}

func newXDSMesh(services, endpoints int) *xdsMesh {
	m := &xdsMesh{services: services}
	for i := range endpoints {
		m.addresses = append(m.addresses, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80))
	}
	return m
}

func parseXDSMesh(args []string) (*xdsMesh, error) {
	m := &xdsMesh{}
	var err error
	if m.services, err = strconv.Atoi(args[0]); err != nil {
		return nil, err
	}
	for _, arg := range args[1:] {
		a, err := netip.ParseAddrPort(arg)
		if err != nil {
			return nil, err
		}
		m.addresses = append(m.addresses, a)
	}
	return m, nil
}

// xdsServer is an xDS server that is measured: ours or the peer.
type xdsServer interface {
	discoverypb.AggregatedDiscoveryServiceServer
	// options returns options of the gRPC server, beside the defaults.
	options() []grpc.ServerOption
	// flip says whether the first endpoint of the first service is healthy. It returns when the
	// server has taken over the change.
	flip(healthy bool) error
	// ready reports whether n clients have accepted all services.
	ready(n int) bool
	// settle waits until n clients have accepted the last flip.
	settle(n int)
}

// XDSControl is an API of net/rpc for the parent of a child process with an xDS server.
type XDSControl struct{ server xdsServer }

// XDSFlip is the result of Flip.
type XDSFlip struct {
	Began int64         // Unix time at which the server was given the change, in nanoseconds
	Took  time.Duration // how long the call of the server took
}

// Flip changes the health of the first endpoint of the first service.
func (c *XDSControl) Flip(healthy bool, f *XDSFlip) error {
	began := time.Now()
	err := c.server.flip(healthy)
	*f = XDSFlip{began.UnixNano(), time.Since(began)}
	return err
}

// Settle waits until n clients have accepted the last flip.
func (c *XDSControl) Settle(n int, _ *bool) error {
	c.server.settle(n)
	return nil
}

// Ready waits until n clients have accepted all services. It returns the live heap of the process
// and the memory of its stacks, in bytes.
func (c *XDSControl) Ready(n int, memory *[2]uint64) error {
	for began := time.Now(); !c.server.ready(n); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			return errors.New("the clients have not accepted all services within a minute")
		}
	}
	var m runtime.MemStats
	for range 3 { // sync.Pool keeps what it has over one collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	*memory = [2]uint64{m.HeapAlloc, m.StackInuse}
	return nil
}

// serveXDS runs a server in a child process. It prints the address of the server and the address of
// XDSControl. The options of the gRPC server are the defaults.
func serveXDS(ctx context.Context, start func(context.Context, *xdsMesh) (xdsServer, error)) error {
	mesh, err := parseXDSMesh(os.Args[1:])
	if err != nil {
		return err
	}
	server, err := start(ctx, mesh)
	if err != nil {
		return err
	}
	control := rpc.NewServer()
	if err := control.Register(&XDSControl{server}); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go control.Accept(l)
	rig := newRig(ctx)
	defer rig.close()
	at, err := rig.serve(func(g *grpc.Server) { discoverypb.RegisterAggregatedDiscoveryServiceServer(g, server) }, server.options()...)
	if err != nil {
		return err
	}
	fmt.Println(at, l.Addr())
	<-ctx.Done()
	return nil
}

// ourXDS is the xDS server of a coordinator, without the coordinator.
type ourXDS struct {
	*xds.Server
	mesh     *xdsMesh
	accepted chan struct{}
}

func newOurXDS(ctx context.Context, mesh *xdsMesh) (xdsServer, error) {
	s := &ourXDS{mesh: mesh, accepted: make(chan struct{}, 1<<10)}
	f := feed.New(1, 0)
	var changes []health.Change
	for i := range mesh.services {
		for k := range mesh.addresses {
			changes = append(changes, health.Change{Epoch: 1, State: s.state(i, k, health.RouteHealthy, uint64(len(changes)+1))})
		}
	}
	f.Publish(changes)
	s.Server = xds.New(xds.Config{Feed: f, Acknowledged: func(time.Duration) {
		select {
		case s.accepted <- struct{}{}:
		default: // nobody calls settle
		}
	}})
	go func() { _ = s.Run(ctx) }()
	s.Loaded()
	return s, nil
}

func (s *ourXDS) state(service, endpoint int, route health.Route, revision uint64) health.State {
	return health.State{
		ID: health.ID{Service: name("service", service), Instance: name("instance", endpoint)}, Revision: revision,
		Spec: &health.Spec{}, Route: route, Endpoint: s.mesh.addresses[endpoint],
	}
}

func (s *ourXDS) options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ForceServerCodecV2(s.Codec())}
}

func (s *ourXDS) flip(healthy bool) error {
	route := health.RouteUnhealthy
	if healthy {
		route = health.RouteHealthy
	}
	state := s.state(0, 0, route, 0)
	s.Apply([]xds.Change{{Service: state.ID.Service, Endpoint: xds.Endpoint{Endpoint: routing.EndpointOf(&state)}}})
	return nil
}

func (s *ourXDS) ready(n int) bool {
	stats := s.Stats()
	return stats.Subscribed == n*s.mesh.services && stats.Behind == 0
}

func (s *ourXDS) settle(n int) {
	for range n {
		<-s.accepted
	}
}
