package arch

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// heavy has packages that only a coordinator needs. A program that embeds the server or the
// client must not depend on them.
var heavy = []string{
	"go.etcd.io/bbolt",
	"go.etcd.io/etcd",
	"github.com/envoyproxy",
	"github.com/cncf/xds",
	"google.golang.org/grpc/xds",
	"github.com/prometheus",
	"github.com/spf13/cobra",
	"go.yaml.in/yaml",
	"gopkg.in/yaml.v2",
	"gopkg.in/yaml.v3",
	"sigs.k8s.io/yaml",
}

// lightFaults finds heavy packages among the direct and indirect imports of a package.
func lightFaults(pkg string, deps []string) []string {
	var faults []string
	for _, d := range deps {
		for _, h := range heavy {
			if under(d, h) {
				faults = append(faults, fmt.Sprintf("%s: its users would depend on %s", pkg, d))
			}
		}
	}
	return faults
}

// dependencies lists the direct and indirect imports of a package, by `go list`.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "./"+pkg)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr(err))
	}
	return strings.Fields(string(out))
}

func stderr(err error) []byte {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.Stderr
	}
	return nil
}

func TestLight(t *testing.T) {
	module(t) // reads the files that `go list` reads, so that the test cache notices their edits
	for _, p := range plan {
		if p.light {
			t.Run(p.path, func(t *testing.T) {
				report(t, lightFaults(p.path, dependencies(t, p.path)))
			})
		}
	}
}

func TestLightFaults(t *testing.T) {
	for _, c := range []struct {
		dep    string
		faults int
	}{
		{"fmt", 0},
		{"google.golang.org/grpc", 0},
		{"google.golang.org/grpc/health", 0},
		{"github.com/prometheusish/x", 0},
		{"go.etcd.io/bbolt", 1},
		{"go.etcd.io/etcd/client/v3", 1},
		{"github.com/envoyproxy/go-control-plane/envoy", 1},
		{"google.golang.org/grpc/xds", 1},
		{"github.com/prometheus/client_golang/prometheus", 1},
		{"github.com/spf13/cobra", 1},
		{"go.yaml.in/yaml/v3", 1},
		{"gopkg.in/yaml.v3", 1},
	} {
		expect(t, c.dep, c.faults, lightFaults("server", []string{"fmt", c.dep}))
	}
}

func TestDependenciesIndirect(t *testing.T) {
	// health imports fmt, and fmt imports os. Without os the list has no indirect imports.
	deps := " " + strings.Join(dependencies(t, "health"), " ") + " "
	if !strings.Contains(deps, " os ") {
		t.Errorf("os is not among the dependencies of health: %s", deps)
	}
}
