package server_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/server"
)

// Example_probes is the server that docs/kubernetes.md shows.
func Example_probes() {
	srv, err := server.New(server.Config{Service: "payments", Services: []server.Service{
		{Name: "live", Kind: server.Liveness},
		{Name: "started", Kind: server.Startup},
	}})
	fmt.Println(srv != nil, err)
	// Output: true <nil>
}

// TestReadmeProbes checks that the probes in docs/kubernetes.md ask for names that the
// server shown there has, each of the right kind.
func TestReadmeProbes(t *testing.T) {
	raw, err := os.ReadFile("../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	var services []server.Service
	for _, m := range regexp.MustCompile(`\{Name: "(\w+)", Kind: server\.(\w+)\},`).FindAllStringSubmatch(page, -1) {
		kind, ok := map[string]server.Kind{"Liveness": server.Liveness, "Startup": server.Startup}[m[2]]
		if !ok {
			t.Fatalf("the page has a kind %s", m[2])
		}
		services = append(services, server.Service{Name: m[1], Kind: kind})
	}
	_, manifest, ok := strings.Cut(page, "```yaml\n# a container of a pod\n")
	if !ok || len(services) != 2 {
		t.Fatalf("the page has the services %v, and probes: %v", services, ok)
	}
	manifest, _, _ = strings.Cut(manifest, "```")
	var probes map[string]struct {
		GRPC struct {
			Port    int
			Service string
		}
	}
	if err := yaml.Unmarshal([]byte(manifest), &probes); err != nil || len(probes) != 3 {
		t.Fatalf("%v: %v", err, probes)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{Services: services})
		loop, migrate := &probe{}, &probe{}
		add(t, s, server.Check{Name: "db", Run: (&probe{err: errDown}).run},
			server.Check{Name: "loop", Run: loop.run, Kind: server.Liveness},
			server.Check{Name: "migrate", Run: migrate.run, Kind: server.Startup})
		c := newSide(t, s, s.Register, nil)
		before := c.check(t, probes["startupProbe"].GRPC.Service)
		start(t, s)
		for what, want := range map[string]string{"livenessProbe": "SERVING", "readinessProbe": "NOT_SERVING", "startupProbe": "SERVING"} {
			if got := c.check(t, probes[what].GRPC.Service); got != want {
				t.Errorf("%s of %q is answered with %s, want %s", what, probes[what].GRPC.Service, got, want)
			}
		}
		if before != "NOT_SERVING" {
			t.Errorf("startupProbe before Run: %s", before)
		}
	})
}
