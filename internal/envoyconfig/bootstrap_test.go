package envoyconfig_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/xds"

	"github.com/meshhealth/meshhealth/internal/envoyconfig"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata")

// bootstraps has one bootstrap of each kind.
func bootstraps() map[string]*envoyconfig.Bootstrap {
	base := func(change func(b *envoyconfig.Bootstrap)) *envoyconfig.Bootstrap {
		b := &envoyconfig.Bootstrap{
			Node: "edge-1", Cluster: "edge", Coordinator: "127.0.0.1:7070", Listen: "127.0.0.1:10000", Admin: "127.0.0.1:9901",
			Services: []envoyconfig.Service{{Name: "payments"}},
		}
		change(b)
		return b
	}
	at := netip.MustParseAddrPort
	tls := &envoyconfig.TLS{CA: "/etc/ca, of us.pem", Cert: "/etc/edge.pem", Key: "/etc/edge.key", ServerName: "coordinator.mesh"}
	return map[string]*envoyconfig.Bootstrap{
		"ads": base(func(*envoyconfig.Bootstrap) {}),
		"ads_tls": base(func(b *envoyconfig.Bootstrap) {
			b.Coordinator, b.TLS, b.ServiceCA, b.DetectDegraded, b.PanicThreshold = "mesh.example:443", tls, "/etc/services.pem", true, 25
			b.Services = []envoyconfig.Service{
				{Name: "on", TLSNames: []string{"spiffe://mesh/on", "on.mesh"}}, {Name: "123"}, {Name: "a-b.c_d"},
			}
		}),
		"static": base(func(b *envoyconfig.Bootstrap) {
			b.Static, b.PanicThreshold, b.Coordinator = true, 50, "[::1]:7070"
			b.Services = []envoyconfig.Service{{Name: "payments", Instances: []envoyconfig.Instance{
				{Name: "a", Endpoint: at("10.0.0.1:9000"), Region: "eu", Zone: "eu-1", Weight: 128},
				{Name: "10.0.0.2:9000", Endpoint: at("[fd00::2]:9000"), Zone: "eu-2"},
				{Name: "c", Endpoint: at("10.0.0.3:9000"), Region: "eu", Zone: "eu-1"},
				{Name: "d", Endpoint: at("10.0.0.4:9000"), Region: "eu"},
				{Name: "e", Endpoint: at("10.0.0.5:9000")},
			}}}
		}),
		"static_tls": base(func(b *envoyconfig.Bootstrap) {
			b.Static, b.PanicThreshold, b.TLS, b.ServiceCA = true, 50, &envoyconfig.TLS{CA: "/etc/ca.pem"}, "/etc/services.pem"
			b.Services = []envoyconfig.Service{
				{Name: "payments", TLSNames: []string{"payments.mesh"}, Instances: []envoyconfig.Instance{{Name: "a", Endpoint: at("10.0.0.1:9000")}}},
				{Name: "empty"},
			}
		}),
	}
}

// TestBootstraps checks that each bootstrap is as in testdata, can be parsed as strictly as Envoy does,
// is valid, and gives no reason for advice.
func TestBootstraps(t *testing.T) {
	for name, b := range bootstraps() {
		t.Run(name, func(t *testing.T) {
			text, err := b.Envoy()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".yaml", text)
			d, faults := envoyconfig.Parse([]byte(text))
			for _, f := range faults {
				t.Errorf("line %d: %s: %s", f.Line, f.Path, f.Text)
			}
			if d == nil {
				t.FailNow()
			}
			if len(d.Unknown) > 0 {
				t.Errorf("unknown types: %v", d.Unknown)
			}
			if b.PanicThreshold == 25 {
				return
			}
			for _, f := range d.Advice() {
				t.Errorf("advice: line %d: %s: %s", f.Line, f.Path, f.Text)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d: got %q, want %q", file, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s: got %d lines, want %d", file, len(g), len(w))
}

func printed(faults []envoyconfig.Fault) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "%d: %s: %s\n", f.Line, f.Path, f.Text)
	}
	return b.String()
}

// TestGRPC checks that gRPC takes each bootstrap for its clients.
func TestGRPC(t *testing.T) {
	for name, b := range bootstraps() {
		text, err := b.GRPC()
		if err != nil {
			t.Fatal(err)
		}
		if name == "ads" || name == "ads_tls" {
			golden(t, name+".json", text)
		}
		if _, err := xds.NewXDSResolverWithConfigForTesting([]byte(text)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		if _, faults := envoyconfig.Parse([]byte(text)); !strings.Contains(printed(faults), "bootstrap of gRPC") {
			t.Errorf("%s: %s", name, printed(faults))
		}
	}
}
