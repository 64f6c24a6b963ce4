//go:build e2e || soak

package xds

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The paths of the programs. They are built once for all tests.
var meshhealth, grpcgo string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/xds:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	bin, err := os.MkdirTemp("", "meshhealth-xds-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin)
	meshhealth, grpcgo = filepath.Join(bin, "meshhealth"), filepath.Join(bin, "grpcgo")
	for to, pkg := range map[string]string{meshhealth: "../../cmd/meshhealth", grpcgo: "./testdata/grpcgo"} {
		if out, err := exec.Command("go", "build", "-o", to, pkg).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	return m.Run(), nil
}
