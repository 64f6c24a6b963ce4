package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bootstrappb "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	// The messages in the Any fields of the files.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	// The package e2e has a function called coordinator.
	library "github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/nettest"
	"github.com/meshhealth/meshhealth/internal/testmesh"
	"github.com/meshhealth/meshhealth/server"
)

// bootstrap parses a file as Envoy does: an unknown or repeated field is an error. It validates all
// fields, also those in Any.
func bootstrap(text string) (*bootstrappb.Bootstrap, error) {
	var values any
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		return nil, err
	}
	asJSON, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	b := &bootstrappb.Bootstrap{}
	if err := protojson.Unmarshal(asJSON, b); err != nil {
		return nil, err
	}
	return b, validateAll(b)
}

// validateAll calls ValidateAll of a message and of the messages in its Any fields.
func validateAll(m proto.Message) error {
	v, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return fmt.Errorf("%T has no rules", m)
	}
	if err := v.ValidateAll(); err != nil {
		return err
	}
	return protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		last, ok := p.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		packed, ok := last.Interface().(*anypb.Any)
		if !ok {
			return nil
		}
		inner, err := packed.UnmarshalNew()
		if err != nil {
			return err
		}
		if err := validateAll(inner); err != nil {
			return err
		}
		return protorange.Break // protorange would enter the message once more
	})
}

// envoyFiles returns the files of docs/envoy.md by their titles.
func envoyFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for page, text := range pages(t) {
		for _, b := range blocks(text) {
			if title, ok := strings.CutPrefix(b.text, envoyConfig); ok && b.language == "yaml" {
				title, _, _ = strings.Cut(title, "\n")
				if files[title] != "" {
					t.Errorf("%s: two files have the title %q", page, title)
				}
				files[title] = b.text
			}
		}
	}
	if len(files) < 6 {
		t.Fatalf("only %d files", len(files))
	}
	return files
}

// TestEnvoyFiles parses every file strictly and validates it. Each file with a mistake is
// refused.
func TestEnvoyFiles(t *testing.T) {
	mistakes := map[string]*strings.Replacer{
		"unknown field":  strings.NewReplacer("connect_timeout:", "connect_timeouts:"),
		"repeated field": strings.NewReplacer("    connect_timeout: 1s\n", "    connect_timeout: 1s\n    connect_timeout: 2s\n"),
		"no address":     strings.NewReplacer("address: 10.0.0.1,", "address: '',"),
		"no duration":    strings.NewReplacer("connect_timeout: 1s", "connect_timeout: 1"),
		"no port":        strings.NewReplacer("port_value: 8080", "port_value: 80800"),
		"unknown type":   strings.NewReplacer("type: STATIC", "type: STATICS"),
	}
	for title, text := range envoyFiles(t) {
		b, err := bootstrap(text)
		if err != nil {
			t.Errorf("%s: %v", title, err)
			continue
		}
		if len(b.GetStaticResources().GetClusters()) != 1 {
			t.Errorf("%s: has no cluster", title)
		}
		for mistake, change := range mistakes {
			wrong := change.Replace(text)
			if _, err := bootstrap(wrong); err == nil || wrong == text {
				t.Errorf("%s: the mistake %q is accepted", title, mistake)
			}
		}
	}
	// The messages in Any are validated too.
	text := strings.ReplaceAll(envoyFiles(t)["probes of the instances over gRPC"], "http2_protocol_options: {}", "http2_protocol_options: {max_concurrent_streams: 0}")
	if _, err := bootstrap(text); err == nil || !strings.Contains(err.Error(), "MaxConcurrentStreams") {
		t.Errorf("a mistake in an Any: %v", err)
	}
}

// TestEnvoyProbes probes with the addresses and names in the files, against servers and a
// coordinator at these addresses.
func TestEnvoyProbes(t *testing.T) {
	files := envoyFiles(t)
	for title, degraded := range map[string]string{
		"probes of the instances over gRPC": "healthy",
		"probes of the instances over HTTP": "degraded",
		"probes of the coordinator":         "healthy",
		"probes of a coordinator with TLS":  "healthy", // without its TLS
	} {
		t.Run(title, func(t *testing.T) {
			b, err := bootstrap(files[title])
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				n := newEnvoyNetwork(t)
				cluster := b.GetStaticResources().GetClusters()[0]
				for _, step := range []struct {
					status health.Status
					want   string
				}{{health.Serving, "healthy"}, {health.Degraded, degraded}, {health.Maintenance, "unhealthy"}, {health.Serving, "healthy"}} {
					n.become(step.status)
					for _, e := range cluster.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints() {
						if got := n.probe(cluster, e.GetEndpoint()); got != step.want {
							t.Errorf("%v: %v is %s, want %s", step.status, e.GetEndpoint().GetAddress(), got, step.want)
						}
					}
				}
			})
		})
	}
}

// envoyNetwork has what docs/envoy.md presumes: two instances and a coordinator that follows
// them.
type envoyNetwork struct {
	t       *testing.T
	net     *testmesh.Network
	servers []*server.Server
}

func newEnvoyNetwork(t *testing.T) *envoyNetwork {
	t.Helper()
	n := &envoyNetwork{t: t, net: testmesh.NewNetwork()}
	n.serve("10.0.0.1:8080", "10.0.0.1:8081", "10.0.0.1:8082")
	n.serve("10.0.0.2:8080", "10.0.0.2:8081", "10.0.0.2:8082")
	c, err := library.New(t.Context(), library.Config{
		Listener: n.net.Listen("10.0.0.100:7070"), InsecureOpen: true, HTTP: library.Off, Store: store.NewMemory(0),
		Dial: library.Dial{Context: n.net.Dial}, Logger: slog.New(slog.DiscardHandler),
		Static: []library.Target{
			{Service: "payments", Instance: "pay-1", Address: "10.0.0.1:8080"},
			{Service: "payments", Instance: "10.0.0.2:8080", Address: "10.0.0.2:8080"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.run(func(ctx context.Context) error { return c.Run(ctx) })
	return n
}

// run calls f until the end of the test.
func (n *envoyNetwork) run(f func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	n.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			n.t.Error(err)
		}
	})
}

// serve runs one instance: gRPC on two addresses, and HTTP on a third one.
func (n *envoyNetwork) serve(main, plain, pages string) {
	n.t.Helper()
	s, err := server.New(server.Config{Service: "payments", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		n.t.Fatal(err)
	}
	n.servers = append(n.servers, s)
	n.run(s.Run)
	g := grpc.NewServer(s.ServerOptions()...)
	s.Register(g)
	h := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Second}
	go func() { _ = g.Serve(n.net.Listen(main)) }()
	go func() { _ = h.Serve(n.net.Listen(pages)) }()
	n.t.Cleanup(func() { g.Stop(); _ = h.Close() })
	n.run(func(ctx context.Context) error { return s.ServeHealth(ctx, n.net.Listen(plain)) })
}

// become gives all instances a status, and waits until the coordinator knows it.
func (n *envoyNetwork) become(status health.Status) {
	n.t.Helper()
	for _, s := range n.servers {
		if err := s.SetStatus(status, ""); err != nil {
			n.t.Fatal(err)
		}
	}
	time.Sleep(5 * time.Minute) // flap damping has ended
	synctest.Wait()
}

// probe probes one endpoint as the health checker of its cluster does.
func (n *envoyNetwork) probe(c *clusterpb.Cluster, e *endpointpb.Endpoint) string {
	n.t.Helper()
	check, own := c.GetHealthChecks()[0], e.GetHealthCheckConfig()
	at := e.GetAddress().GetSocketAddress()
	if own.GetAddress() != nil {
		at = own.GetAddress().GetSocketAddress()
	}
	port := at.GetPortValue()
	if own.GetPortValue() != 0 {
		port = own.GetPortValue()
	}
	dial := func() (net.Conn, error) {
		return n.net.Dial(n.t.Context(), net.JoinHostPort(at.GetAddress(), fmt.Sprint(port)))
	}
	if page := check.GetHttpHealthCheck(); page != nil {
		return n.get(dial, page.GetPath())
	}
	hostname := own.GetHostname()
	if hostname == "" {
		hostname = c.GetName()
	}
	checker := &nettest.EnvoyChecker{
		Dial: dial, Service: check.GetGrpcHealthCheck().GetServiceName(), Hostname: hostname, Timeout: check.GetTimeout().AsDuration(),
	}
	defer checker.Close()
	if v := checker.Probe(); !v.Healthy {
		if v.Network || v.Why != "" {
			n.t.Errorf("%+v", v)
		}
		return "unhealthy"
	}
	return "healthy"
}

// get requests a page as Envoy's HTTP health checker does.
func (n *envoyNetwork) get(dial func() (net.Conn, error), path string) string {
	n.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial() },
	}}
	resp, err := client.Get("http://payments" + path)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return "unhealthy"
	case resp.Header.Get("x-envoy-degraded") != "":
		return "degraded"
	}
	return "healthy"
}
