//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The folder of the binaries, and the paths of the binaries. They are built once for all tests.
var bin, meshhealth, grpcurl, healthProbe string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	bin, err = os.MkdirTemp("", "meshhealth-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin)
	meshhealth, grpcurl = filepath.Join(bin, "meshhealth"), filepath.Join(bin, "grpcurl")
	for to, pkg := range map[string]string{
		meshhealth: "../cmd/meshhealth", filepath.Join(bin, "service"): "./testdata/service", filepath.Join(bin, "small"): "./testdata/small",
		filepath.Join(bin, "xdsclient"): "./testdata/xdsclient", filepath.Join(bin, "secure"): "./testdata/secure",
	} {
		if out, err := exec.Command("go", "build", "-o", to, pkg).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	built := os.Getenv("GRPCURL")
	if built == "" {
		return 1, fmt.Errorf("GRPCURL: is not set; run `make e2e`, which builds it")
	}
	if healthProbe = os.Getenv("GRPC_HEALTH_PROBE"); healthProbe == "" {
		return 1, fmt.Errorf("GRPC_HEALTH_PROBE: is not set; run `make e2e`, which builds it")
	}
	if err := os.Symlink(built, grpcurl); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
