package coordinator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/nettest"
	"github.com/meshhealth/meshhealth/server"
)

// provenMesh is a coordinator with mutual TLS, an access policy and a store, and an authority for its mesh.
type provenMesh struct {
	t      *testing.T
	ca     *nettest.Authority
	source *certs.Source
	policy *coordinator.AccessPolicy
	data   string
	logger *slog.Logger
	static []coordinator.Target
	at     string // address of the running coordinator
	stop   func()
}

func newProvenMesh(t *testing.T) *provenMesh {
	t.Helper()
	m := &provenMesh{t: t, ca: nettest.NewAuthority(t), data: t.TempDir(), logger: slog.New(slog.DiscardHandler)}
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	register := func(name string, r access.Register) access.Rule {
		r.Services = []string{"*"}
		return access.Rule{Name: name, Who: []string{"spiffe://mesh.test/" + name}, Register: &r, Read: &access.Read{Services: []string{"*"}}}
	}
	m.policy = &coordinator.AccessPolicy{TrustDomain: "mesh.test", Rules: []access.Rule{
		register("proven", access.Register{ProvenAddresses: local}),
		register("peer", access.Register{Peer: true}),
		register("networks", access.Register{Addresses: local}),
		{
			Name: "reader", Who: []string{"spiffe://mesh.test/reader"},
			Read: &access.Read{Services: []string{"*"}, Detail: access.Evidence}, Route: &access.Services{Services: []string{"*"}},
		},
	}}
	dir := t.TempDir()
	files := certs.Files{Roots: m.ca.Roots(dir)}
	files.Cert, files.Key = m.ca.Save(dir, "mesh", m.certificate("mesh", net.IPv4(127, 0, 0, 1)))
	var err error
	if m.source, err = certs.Open(files, certs.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.source.Close)
	return m
}

// certificate returns a certificate with the identity spiffe://mesh.test/NAME, for these IP addresses and DNS names.
func (m *provenMesh) certificate(name string, ips ...net.IP) tls.Certificate {
	return m.ca.Sign(&x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "mesh.test", Path: "/" + name}}, IPAddresses: ips})
}

// start runs a coordinator with the store of the mesh.
func (m *provenMesh) start() {
	m.t.Helper()
	cfg := coordinator.Config{
		Listen: "127.0.0.1:0", HTTP: coordinator.Off, DataDir: m.data, Socket: coordinator.Off,
		Credentials: m.source.Server(), Access: m.policy, Static: m.static, Logger: m.logger,
	}
	cfg.Dial.Credentials = m.source.Client(certs.Dial{})
	c, err := coordinator.New(m.t.Context(), cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	m.at = c.Addr().String()
	m.stop = func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Error(err)
		}
	}
}

// credentials are those of a client with an identity.
func (m *provenMesh) credentials(name string) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{RootCAs: m.ca.Pool(), Certificates: []tls.Certificate{m.certificate(name)}, MinVersion: tls.VersionTLS13})
}

func (m *provenMesh) dial(name string) *grpc.ClientConn {
	m.t.Helper()
	conn, err := grpc.NewClient(m.at, grpc.WithTransportCredentials(m.credentials(name)))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	return conn
}

// target starts a stock server that shows a certificate; nil means plaintext. It returns its port.
func (m *provenMesh) target(cert *tls.Certificate) (port string, stop func()) {
	m.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	var options []grpc.ServerOption
	if cert != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS13})))
	}
	s := grpc.NewServer(options...)
	healthpb.RegisterHealthServer(s, stock.NewServer())
	go func() { _ = s.Serve(l) }()
	m.t.Cleanup(s.Stop)
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), s.Stop
}

func (m *provenMesh) register(who string, r *pb.Registration) {
	m.t.Helper()
	if _, err := pb.NewRegistryServiceClient(m.dial(who)).Register(m.t.Context(), &pb.RegisterRequest{Registrations: []*pb.Registration{r}}); err != nil {
		m.t.Fatalf("%s registers %v: %v", who, r, err)
	}
}

// shown is what the coordinator says of an instance.
type shown struct {
	status pb.Status
	route  pb.Route
	proof  pb.EndpointProof
}

// until waits until the instances of the mesh are as wanted.
func (m *provenMesh) until(want map[string]shown) {
	m.t.Helper()
	w, err := pb.NewHealthServiceClient(m.dial("reader")).Watch(m.t.Context(), &pb.WatchRequest{})
	if err != nil {
		m.t.Fatal(err)
	}
	got := map[string]shown{}
	for {
		msg, err := w.Recv()
		if err != nil {
			m.t.Fatalf("%v; the instances are %v", err, got)
		}
		for _, h := range msg.GetEntries() {
			if name := h.GetService() + "/" + h.GetInstance(); want[name] != (shown{}) {
				got[name] = shown{h.GetStatus(), h.GetRoute(), h.GetEndpointProof()}
				if open := h.GetEndpoint() != ""; open == (h.GetRoute() == pb.Route_ROUTE_UNPROVEN) {
					m.t.Errorf("%s has the endpoint %q with the route %v", name, h.GetEndpoint(), h.GetRoute())
				}
			}
		}
		if maps.Equal(got, want) {
			return
		}
	}
}

// routed returns the instances of a service that receive traffic.
func (m *provenMesh) routed(service string) (names []string) {
	m.t.Helper()
	resp, err := pb.NewAdminServiceClient(m.dial("reader")).ListRoutes(m.t.Context(), &pb.ListRoutesRequest{Service: service})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, i := range resp.GetInstances() {
		if i.GetPlain().GetPresent() || i.GetSpillover().GetPresent() {
			names = append(names, i.GetHealth().GetInstance())
		}
	}
	return names
}

// TestEndpointProof: an instance receives traffic only if something proves its endpoint. Its status does not depend on
// that, and what is proven outlasts a restart without contact.
func TestEndpointProof(t *testing.T) {
	m := newProvenMesh(t)
	local := net.IPv4(127, 0, 0, 1)
	nameless, named, other := m.certificate("proven"), m.certificate("proven", local), m.certificate("other", local)
	otherNameless, near := m.certificate("other"), m.certificate("peer", local)
	localhost := m.ca.Sign(&x509.Certificate{DNSNames: []string{"localhost"}})
	var stops []func()
	target := func(cert *tls.Certificate) string {
		port, stop := m.target(cert)
		stops = append(stops, stop)
		return port
	}
	shared := target(&other)
	m.static = []coordinator.Target{{Service: "pay", Instance: "configured", Address: "localhost:" + target(&localhost)}}
	m.start()
	const (
		serving, unknown  = pb.Status_STATUS_SERVING, pb.Status_STATUS_UNKNOWN
		healthy, unproven = pb.Route_ROUTE_HEALTHY, pb.Route_ROUTE_UNPROVEN
		missing, identity = pb.EndpointProof_ENDPOINT_PROOF_MISSING, pb.EndpointProof_ENDPOINT_PROOF_IDENTITY
		peer, rule        = pb.EndpointProof_ENDPOINT_PROOF_PEER, pb.EndpointProof_ENDPOINT_PROOF_RULE
	)
	want := map[string]shown{"pay/configured": {serving, healthy, pb.EndpointProof_ENDPOINT_PROOF_CONFIGURED}}
	for name, c := range map[string]struct {
		who, host, port string
		want            shown
	}{
		"own-identity":            {"proven", "127.0.0.1", target(&nameless), shown{serving, healthy, identity}},
		"own-identity-with-names": {"proven", "127.0.0.1", target(&named), shown{serving, healthy, identity}},
		"own-identity-by-name":    {"proven", "localhost", target(&nameless), shown{serving, healthy, identity}},
		"of-another":              {"proven", "127.0.0.1", shared, shown{serving, unproven, missing}},
		"of-another-nameless":     {"proven", "127.0.0.1", target(&otherNameless), shown{unknown, unproven, missing}},
		"of-nobody-by-name":       {"proven", "localhost", target(&localhost), shown{serving, unproven, missing}},
		"plaintext":               {"proven", "127.0.0.1", target(nil), shown{unknown, unproven, missing}},
		"near":                    {"peer", "127.0.0.1", target(&other), shown{serving, healthy, peer}},
		"near-with-identity":      {"peer", "127.0.0.1", target(&near), shown{serving, healthy, identity}},
		"in-network":              {"networks", "127.0.0.1", shared, shown{serving, healthy, rule}},
		"in-network-by-name":      {"networks", "localhost", target(&localhost), shown{serving, healthy, rule}},
	} {
		m.register(c.who, &pb.Registration{Service: "pay", Instance: name, Address: net.JoinHostPort(c.host, c.port), Static: true})
		want["pay/"+name] = c.want
	}
	stops = append(stops, m.process("proven", "pay", "process", m.certificate("other", local)))
	want["pay/process"] = shown{serving, healthy, pb.EndpointProof_ENDPOINT_PROOF_PROCESS}
	m.until(want)
	var routed []string
	for name, s := range want {
		if s.route == healthy {
			routed = append(routed, name[len("pay/"):])
		}
	}
	slices.Sort(routed)
	if got := m.routed("pay"); !slices.Equal(got, routed) {
		t.Errorf("traffic goes to %v, want %v", got, routed)
	}

	m.stop()
	for _, stop := range stops {
		stop()
	}
	m.start()
	defer func() { m.stop() }()
	if got := m.routed("pay"); !slices.Equal(got, routed) {
		t.Errorf("after a restart without contact, traffic goes to %v, want %v", got, routed)
	}
}

// process runs a process with a server of package server that shows a certificate. It registers itself as who.
func (m *provenMesh) process(who, service, instance string, cert tls.Certificate) (stop func()) {
	m.t.Helper()
	hs, err := server.New(server.Config{Service: service})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hs.Run(ctx) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})))
	hs.Register(s)
	go func() { _ = s.Serve(l) }()
	c, err := client.New(client.Config{Coordinator: m.at, Credentials: m.credentials(who)})
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := c.Register(m.t.Context(), client.Instance{Service: service, Instance: instance, Address: l.Addr().String(), Feed: hs.Feed()}); err != nil {
		m.t.Fatal(err)
	}
	return func() {
		s.Stop()
		cancel()
		if err := <-ended; err != nil {
			m.t.Error(err)
		}
		_ = c.Close()
	}
}
