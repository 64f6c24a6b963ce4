package client

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/health"
)

func TestConfig(t *testing.T) {
	creds := credentials.NewTLS(nil)
	for _, c := range []struct {
		name   string
		cfg    Config
		faults []string // that the error names; empty: no error
	}{
		{"loopback", Config{Coordinator: "127.0.0.1:7070"}, nil},
		{"loopback, v6", Config{Coordinator: "[::1]:7070"}, nil},
		{"localhost", Config{Coordinator: "localhost:7070"}, nil},
		{"loopback, as a target", Config{Coordinator: "dns:///localhost:7070"}, nil},
		{"socket", Config{Coordinator: "unix:///run/meshhealth.sock"}, nil},
		{"secured", Config{Coordinator: "mesh.example:7070", Credentials: creds}, nil},
		{"plaintext, on purpose", Config{Coordinator: "mesh.example:7070", Insecure: true}, nil},
		{"nothing", Config{}, []string{"Coordinator: "}},
		{"plaintext", Config{Coordinator: "mesh.example:7070"}, []string{"Credentials: "}},
		{"plaintext, as a target", Config{Coordinator: "dns:///mesh.example:7070"}, []string{"Credentials: "}},
		{"plaintext, by another resolver", Config{Coordinator: "dns://127.0.0.1:53/mesh.example:7070"}, []string{"Credentials: "}},
		{"any address", Config{Coordinator: "0.0.0.0:7070"}, []string{"Credentials: "}},
		{"both", Config{Coordinator: "a:1", Credentials: creds, Insecure: true}, []string{"Insecure: "}},
		{"all wrong", Config{Credentials: creds, Insecure: true}, []string{"Coordinator: ", "Insecure: "}},
		{"not a target", Config{Coordinator: "dns:///%zz", Insecure: true}, []string{"Coordinator: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := New(c.cfg)
			if err == nil {
				defer func() { _ = client.Close() }()
			}
			wantFaults(t, err, c.faults)
		})
	}
}

func wantFaults(t *testing.T, err error, faults []string) {
	t.Helper()
	if (err != nil) != (len(faults) > 0) {
		t.Fatalf("error: %v, want it to name %q", err, faults)
	}
	for _, f := range faults {
		if !strings.Contains(err.Error(), f) {
			t.Errorf("error: %v, want it to name %q", err, f)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	c, err := New(Config{Coordinator: "127.0.0.1:1", Credentials: insecure.NewCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func TestInstance(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Instance)
		faults []string
	}{
		{"fine", func(*Instance) {}, nil},
		{"port only", func(i *Instance) { i.Address = ":8080" }, nil},
		{"all addresses", func(i *Instance) { i.Address = "[::]:8080" }, nil},
		{"no name", func(i *Instance) { i.Instance = "" }, nil},
		{"neither name nor address", func(i *Instance) { i.Instance, i.Address = "", "" }, []string{"Address: "}},
		{"nothing", func(i *Instance) { *i = Instance{} }, []string{"Service: ", "Address: "}},
		{"slash", func(i *Instance) { i.Service = "a/b" }, []string{"Service: "}},
		{"no port", func(i *Instance) { i.Address = "host" }, []string{"Address: "}},
		{"lease", func(i *Instance) { i.TTL = time.Second }, []string{"TTL: "}},
		{"negative lease", func(i *Instance) { i.TTL = -1 }, []string{"TTL: "}},
		{"optional and critical", func(i *Instance) { i.Optional, i.Critical = true, true }, []string{"Critical: is true beside Optional; allowed: one of both"}},
		{"no such protocol", func(i *Instance) { i.Protocol = health.ProtocolCheck + 1 }, []string{"Protocol: is 4; allowed: "}},
		{"texts", func(i *Instance) {
			i.HealthName, i.Zone, i.Version, i.ServerName = "\n", long, long, long
			i.Labels = map[string]string{"": ""}
		}, []string{"HealthName: ", "Zone: ", "Version: ", "ServerName: ", "Labels: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := instance()
			c.change(&i)
			wantFaults(t, i.complete(), c.faults)
		})
	}
}

var long = strings.Repeat("x", 300)

// What the client accepts, the coordinator must accept: RegisterAsync returns no error.
func TestInstanceAsTheCoordinatorSeesIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		i := instance()
		i.HealthName, i.Zone, i.Version, i.ServerName = "pay", "z1", "v2", "pay.example"
		i.Labels, i.TTL = map[string]string{"tier": "1"}, time.Minute
		i.Rule, i.MinAvailable, i.Critical = health.AtLeast(2), 60, true
		i.Protocol = health.ProtocolWatch
		r := mustRegister(t, w.client(), i)
		i.Labels["tier"] = "changed afterwards"
		w.registry.do(func() { clear(w.registry.leases) })
		settle(11 * time.Second)
		for _, got := range w.registry.leases {
			wantEqual(t, "health name", got.GetHealthName(), "pay")
			wantEqual(t, "zone", got.GetZone(), "z1")
			wantEqual(t, "version", got.GetVersion(), "v2")
			wantEqual(t, "server name", got.GetServerName(), "pay.example")
			wantEqual(t, "rule", got.GetRule(), "at-least-2")
			wantEqual(t, "min available", got.GetMinAvailable(), 60)
			wantEqual(t, "label", got.GetLabels()["tier"], "1")
			wantEqual(t, "protocol", got.GetProtocol(), "watch")
			if !got.GetCritical() || got.GetOptional() {
				t.Errorf("critical is %t, optional %t", got.GetCritical(), got.GetOptional())
			}
			wantEqual(t, "lease", got.GetTtl().AsDuration(), time.Minute)
			wantEqual(t, "incarnation", got.GetIncarnation(), r.c.incarnation)
		}
	})
}
