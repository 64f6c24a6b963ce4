package api

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// home is the address of the world's own client.
const home = "192.0.2.1"

// somebody is the author of overrides that the world's own client sets.
const somebody = "somebody at " + home

// setup holds what a test can change.
type setup struct {
	Config
	epoch        uint64
	store        store.Store
	maxInstances int
	policy       health.MeshPolicy // of the registry
	access       *access.Policy
	authenticate Authenticate                     // finds other identities; may be nil
	creds        credentials.TransportCredentials // of the listener; nil means plaintext
	socket       string                           // path that the server tells to local callers
	listeners    []Listener                       // more listeners
	routing      bool                             // true if the server serves xDS clients
	// client are the credentials of the world's own client.
	client credentials.TransportCredentials
}

// world is a server under test, its registry and a client. It needs a synctest bubble.
type world struct {
	t        *testing.T
	registry *registry.Registry
	access   *Access
	server   *Server
	listener *listener
	*visitor

	stop, stopRegistry context.CancelFunc
	served, ran        chan error
	ended              bool
}

// everybody is the policy that allows every caller everything, with addresses of 192.0.2.0/24.
func everybody() *access.Policy {
	return access.Open([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
}

// friends is the policy that allows everything to callers with an identity, and all others to read statuses.
func friends() *access.Policy {
	p := everybody()
	p.Rules[0].Who = []string{"authenticated"}
	p.Rules = append(p.Rules, access.Rule{Name: "public", Who: []string{"anyone"}, Read: &access.Read{Services: []string{"*"}}})
	return p
}

// newWorld returns a world that allows everybody everything, with addresses of 192.0.2.0/24.
// The function edit can change that.
func newWorld(t *testing.T, edit func(*setup)) *world {
	t.Helper()
	s := setup{epoch: 77, store: store.NewMemory(0), client: insecure.NewCredentials()}
	s.access, s.Build = everybody(), "v9"
	s.Targets = &wire.Targets{Names: func(string, netip.Addr) bool { return true }}
	s.Stats = func(*pb.GetCoordinatorResponse) {}
	if edit != nil {
		edit(&s)
	}
	w := &world{t: t, listener: newListener(), served: make(chan error, 1), ran: make(chan error, 1)}
	policy, err := access.Compile(s.access)
	if err != nil {
		t.Fatal(err)
	}
	s.Access = NewAccess(policy, s.socket, s.authenticate, s.Audit)
	w.access = s.Access
	w.startRegistry(&s)
	s.Registry, s.Feed = w.registry, w.registry.Feed()
	if s.routing {
		w.startXDS(&s)
	}
	w.server = New(s.Config)
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	go func() { w.served <- w.server.Serve(ctx, append([]Listener{{w.listener, s.creds}}, s.listeners...)...) }()
	t.Cleanup(w.end)
	w.visitor = w.call(home, s.client)
	return w
}

func (w *world) startRegistry(s *setup) {
	var err error
	w.registry, err = registry.New(w.t.Context(), registry.Config{
		Store: s.store, Epoch: s.epoch, MaxInstances: s.maxInstances, Policy: s.policy,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, w.stopRegistry = context.WithCancel(context.Background())
	go func() { w.ran <- w.registry.Run(ctx) }()
}

// startXDS runs the server for xDS clients until the test ends.
func (w *world) startXDS(s *setup) {
	server := xds.New(xds.Config{Feed: s.Feed, May: func(ctx context.Context) func(string) bool { return w.server.MayLocate(ctx) }})
	server.Loaded()
	s.XDS = server
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error)
	go func() { ran <- server.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			w.t.Errorf("xDS: %v", err)
		}
	})
}

// end ends the server and then the registry, as the coordinator does.
func (w *world) end() {
	if w.ended {
		return
	}
	w.ended = true
	w.stop()
	if err := <-w.served; err != nil {
		w.t.Errorf("Serve: %v", err)
	}
	w.stopRegistry()
	if err := <-w.ran; err != nil {
		w.t.Errorf("the registry: %v", err)
	}
}

// visitor is one connection with a client for each service.
type visitor struct {
	t      *testing.T
	conn   *grpc.ClientConn
	mesh   pb.HealthServiceClient
	leases pb.RegistryServiceClient
	admin  pb.AdminServiceClient
}

// call returns a connection from a host.
func (w *world) call(host string, creds credentials.TransportCredentials) *visitor {
	w.t.Helper()
	conn, err := grpc.NewClient("passthrough:///coordinator",
		grpc.WithTransportCredentials(creds), grpc.WithContextDialer(w.listener.dialFrom(host)))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return &visitor{
		t: w.t, conn: conn, mesh: pb.NewHealthServiceClient(conn),
		leases: pb.NewRegistryServiceClient(conn), admin: pb.NewAdminServiceClient(conn),
	}
}

// send calls the method of this request and returns its error.
func (c *visitor) send(req any) (err error) {
	ctx := c.t.Context()
	switch q := req.(type) {
	case *pb.RegisterRequest:
		_, err = c.leases.Register(ctx, q)
	case *pb.RenewRequest:
		_, err = c.leases.Renew(ctx, q)
	case *pb.DeregisterRequest:
		_, err = c.leases.Deregister(ctx, q)
	case *pb.ExplainRequest:
		_, err = c.admin.Explain(ctx, q)
	case *pb.ListTransitionsRequest:
		_, err = c.admin.ListTransitions(ctx, q)
	case *pb.SetOverrideRequest:
		_, err = c.admin.SetOverride(ctx, q)
	case *pb.ClearOverrideRequest:
		_, err = c.admin.ClearOverride(ctx, q)
	case *pb.ListOverridesRequest:
		_, err = c.admin.ListOverrides(ctx, q)
	case *pb.GetCoordinatorRequest:
		_, err = c.admin.GetCoordinator(ctx, q)
	case *pb.CheckRequest:
		_, err = c.mesh.Check(ctx, q)
	case *pb.ListRequest:
		_, err = c.mesh.List(ctx, q)
	case *pb.WatchRequest:
		err = c.watch(q).end()
	case *pb.ReportRequest:
		err = c.report(q).end()
	default:
		err = errors.New("the test has no method for this request")
	}
	return err
}
