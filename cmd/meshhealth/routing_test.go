package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/encoding/protojson"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// says requires texts in the output of a command.
func (l *live) says(code int, wants []string, args ...string) string {
	l.t.Helper()
	stdout, stderr := l.does(code, args...)
	for _, want := range wants {
		if !strings.Contains(stdout+stderr, want) {
			l.t.Errorf("meshhealth %s: no %q in\n%s%s", strings.Join(args, " "), want, stdout, stderr)
		}
	}
	return stdout
}

// TestRouting prints what routing clients learn of two real instances, one of them degraded by an
// override.
func TestRouting(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	_, a := stockServer(t)
	_, b := stockServer(t)
	l.does(0, "register", "pay/a", "--address", a, "--region", "eu", "--zone", "eu-1", "--weight", "5")
	l.does(0, "register", "pay/b", "--address", b, "--region", "eu", "--zone", "eu-2")
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	l.becomes("pay/b", pb.Status_STATUS_SERVING)
	l.does(0, "override", "set", "pay/b", "DEGRADED", "--reason", "disk", "--for", "1h")
	l.becomes("pay/b", pb.Status_STATUS_DEGRADED)

	for _, plain := range []bool{false, true} {
		awaitEndpoints(t, l, plain)
	}

	l.says(0, []string{`"region":"eu"`, `"weight":5`, `"endpoint":"` + a + `"`}, "status", "pay/a", "-o", "json")
	l.says(0, []string{
		"2 of 2 endpoints get traffic; with gRPC the healthy ones get 70 % of the traffic",
		"● HEALTHY   pay/a  " + a, "eu/eu-1      5", "P0 eu/eu-1 70.0 %", "▲ DEGRADED  pay/b  ", "P0 eu/eu-2/degraded 30.0 %", "it is DEGRADED by an override",
	}, "routes", "pay")
	var page pb.ListRoutesResponse
	if err := protojson.Unmarshal([]byte(l.says(0, nil, "routes", "pay", "-o", "json")), &page); err != nil || len(page.GetInstances()) != 2 || page.GetHealthyPercent() != 70 {
		t.Errorf("%v, %v", &page, err)
	}
	l.says(3, []string{"pax is not registered\n  Did you mean pay?"}, "routes", "pax")

	for _, c := range []struct {
		args  []string
		wants []string
	}{
		{nil, []string{"health_status: DEGRADED", "zone: eu-2"}},
		{[]string{"--plain"}, []string{"sub_zone: degraded"}},
	} {
		args := append([]string{"envoy", "eds", "pay"}, c.args...)
		l.says(0, append(c.wants, "cluster_name: pay\n", "region: eu"), args...)
		var endpoints endpointpb.ClusterLoadAssignment
		text := l.says(0, nil, append(args, "-o", "json")...)
		if err := protojson.Unmarshal([]byte(text), &endpoints); err != nil || endpoints.ValidateAll() != nil || len(endpoints.GetEndpoints()) != 2 {
			t.Errorf("%v: %s: %v", args, text, err)
		}
	}
}

// TestEnvoyBootstrap checks that each bootstrap for real instances is sound, and what is said about an
// unknown service.
func TestEnvoyBootstrap(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	_, a := stockServer(t)
	l.does(0, "register", "pay/10.0.0.1:9", "--address", a, "--region", "eu", "--tls-name", "pay.mesh")
	l.becomes("pay/10.0.0.1:9", pb.Status_STATUS_SERVING)
	for _, args := range [][]string{
		{"--service", "pay"},
		{"--service", "pay", "--detect-degraded", "--service-ca", "/etc/ca.pem", "--service-tls-name", "pay.mesh", "--node", "edge 1", "--listen", "[::1]:1", "--tls-ca", "/etc/ca.pem"},
		{"--service", "pay", "--static", "--service-ca", "/etc/ca.pem"},
	} {
		stdout, _ := l.does(0, append([]string{"envoy", "bootstrap"}, args...)...)
		file := filepath.Join(t.TempDir(), "envoy.yaml")
		if err := os.WriteFile(file, []byte(stdout), 0o600); err != nil {
			t.Fatal(err)
		}
		l.says(0, []string{file + ": ok"}, "envoy", "check", file)
	}
	stdout, _ := l.does(0, "envoy", "bootstrap", "--service", "pay", "--static", "--service-ca", "/etc/ca.pem")
	for _, want := range []string{`hostname: "10.0.0.1%3A9.instance.meshhealth"`, "locality: { region: eu }", "exact: pay.mesh"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	l.says(3, []string{"--service-ca: is missing, and pay speaks TLS; allowed: a FILE"}, "envoy", "bootstrap", "--service", "pay", "--static")
	l.says(3, []string{"mail is not registered"}, "envoy", "bootstrap", "--service", "mail", "--static")

	file := filepath.Join(t.TempDir(), "envoy.yaml")
	stdout, _ = l.does(0, "envoy", "bootstrap", "--service", "mail", "--panic-threshold", "50")
	if err := os.WriteFile(file, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	l.says(1, []string{
		`clusters[1].eds_cluster_config.service_name: is "mail", of which nothing is registered`,
		"clusters[1].common_lb_config.healthy_panic_threshold: is 50 %, and",
	}, "envoy", "check", file)
	l.env[coordinatorEnv] = ""
	if stdout, _ := l.does(1, "envoy", "check", file); strings.Contains(stdout, "registered") {
		t.Errorf("%q", stdout)
	}
}

// TestXDSClients connects a gRPC client with the bootstrap that `envoy bootstrap --grpc` prints, and an
// imitation of an Envoy that rejects what it gets. It checks what is said about both.
func TestXDSClients(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	l.says(0, []string{"No xDS client is connected."}, "xds", "status")
	l.says(3, []string{"xds status` lists the clients"}, "xds", "diff", "app-1")
	_, a := stockServer(t)
	l.does(0, "register", "pay/a", "--address", a)
	l.becomes("pay/a", pb.Status_STATUS_SERVING)

	bootstrap, _ := l.does(0, "envoy", "bootstrap", "--grpc", "--node", "app-1")
	resolver, err := xds.NewXDSResolverWithConfigForTesting([]byte(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///pay", grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	l.says(0, []string{"app-1", "grpc", "plain", "full state", "1 CDS, 1 EDS, 1 LDS, 1 RDS", "gRPC Go"}, "xds", "status")
	l.says(3, []string{"Did you mean app-1?"}, "xds", "diff", "app-2")
	l.says(3, []string{"Connected are app-1."}, "xds", "diff", "somebody")

	reject := &rpcstatus.Status{Code: 3, Message: "no " + escape + " endpoints"}
	receiveEndpoints(t, l, "edge-1", reject)
	l.says(0, []string{"edge-1", "spill-over", "delta", "1 CDS, 1 EDS", "REJECTED", "no \x20[31mred endpoints"}, "xds", "status")
	l.says(1, []string{"EDS   pay", "rejected: no  [31mred endpoints"}, "xds", "diff", "edge-1")

	receiveEndpoints(t, l, "edge-2", nil)
	if stdout := l.says(1, []string{"CDS   pay", "is not acknowledged yet"}, "xds", "diff", "edge-2"); strings.Contains(stdout, "EDS   pay") {
		t.Errorf("%s", stdout)
	}
	l.says(1, []string{"CDS   pay", "EDS   pay"}, "xds", "diff", "edge-2", "--all")
	l.says(0, []string{", 1 response rejected"}, "coordinator", "state")
	var c pb.XDSClient
	lines := strings.Split(strings.TrimSpace(l.says(0, nil, "xds", "status", "-o", "json")), "\n")
	if err := protojson.Unmarshal([]byte(lines[1]), &c); err != nil || len(lines) != 3 || c.GetNode() != "edge-1" || len(c.GetRejections()) != 1 {
		t.Errorf("%q: %v", lines, err)
	}

	receiveEndpoints(t, l, "edge-1", reject)
	l.says(3, []string{"NODE: edge-1 is the node of 2 streams; allowed: one", "Give the number of one: "}, "xds", "diff", "edge-1")
	lines = strings.Split(strings.TrimSpace(l.says(0, nil, "xds", "status", "-o", "json")), "\n")
	if err := protojson.Unmarshal([]byte(lines[len(lines)-1]), &c); err != nil {
		t.Fatal(err)
	}
	l.says(1, []string{"rejected: "}, "xds", "diff", strconv.FormatUint(c.GetStream(), 10))
}

// adsStream is the stream of an imitated client.
type adsStream struct {
	*testing.T
	discoverypb.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
}

// newADSStream opens a stream that stays open until the end of the test.
func newADSStream(t *testing.T, l *live) *adsStream {
	t.Helper()
	conn, err := grpc.NewClient(l.at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &adsStream{t, stream}
}

func (s *adsStream) send(req *discoverypb.DeltaDiscoveryRequest) {
	s.Helper()
	if err := s.Send(req); err != nil {
		s.Fatal(err)
	}
}

func (s *adsStream) receive() *discoverypb.DeltaDiscoveryResponse {
	s.Helper()
	resp, err := s.Recv()
	if err != nil {
		s.Fatal(err)
	}
	return resp
}

// awaitEndpoints waits until a client gets the endpoints of pay with a degraded one among them.
func awaitEndpoints(t *testing.T, l *live, plain bool) {
	t.Helper()
	node := &corepb.Node{Id: "waits"}
	if plain {
		node.ClientFeatures = []string{plainFeature}
	}
	s := newADSStream(t, l)
	s.send(&discoverypb.DeltaDiscoveryRequest{Node: node, TypeUrl: endpointsType, ResourceNamesSubscribe: []string{"pay"}})
	for {
		var endpoints endpointpb.ClusterLoadAssignment
		if err := s.receive().GetResources()[0].GetResource().UnmarshalTo(&endpoints); err != nil {
			t.Fatal(err)
		}
		for _, locality := range endpoints.GetEndpoints() {
			if locality.GetLocality().GetSubZone() == "degraded" || locality.GetLbEndpoints()[0].GetHealthStatus() == corepb.HealthStatus_DEGRADED {
				return
			}
		}
	}
}

// receiveEndpoints subscribes to the endpoints of pay as an Envoy. It rejects them, or acknowledges them
// if reject is nil. It returns when the coordinator has taken note.
func receiveEndpoints(t *testing.T, l *live, node string, reject *rpcstatus.Status) {
	t.Helper()
	s := newADSStream(t, l)
	s.send(&discoverypb.DeltaDiscoveryRequest{
		Node: &corepb.Node{Id: node, Cluster: "edge"}, TypeUrl: endpointsType, ResourceNamesSubscribe: []string{"pay"},
	})
	s.send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: endpointsType, ResponseNonce: s.receive().GetNonce(), ErrorDetail: reject})
	// The answer to this request comes after the coordinator has read the one before.
	s.send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: clusterType, ResourceNamesSubscribe: []string{"pay"}})
	s.receive()
}
