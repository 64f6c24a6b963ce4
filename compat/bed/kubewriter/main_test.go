//go:build kube

package kubewriter_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/meshhealth/meshhealth/compat/bed"
)

// programsEnv has the folder with the programs of this repository.
const programsEnv = "MESHHEALTH_KUBEWRITER_PROGRAMS"

// TestMain builds the programs. bed.Main starts this process again, and the programs are built before
// that.
func TestMain(m *testing.M) {
	if os.Getenv(programsEnv) == "" {
		if err := build(); err != nil {
			fmt.Fprintln(os.Stderr, "kubewriter:", err)
			os.Exit(1)
		}
	}
	bed.Main(m)
}

// build builds the programs into a folder, which make cleans.
func build() error {
	dir, err := os.MkdirTemp("", "kubewriter")
	if err != nil {
		return err
	}
	for _, b := range []struct{ module, pkg string }{
		{"../../..", "./cmd/meshhealth"}, {"../../../kube", "./cmd/meshhealth-kube"},
	} {
		cmd := exec.Command("go", "build", "-C", b.module, "-o", dir+"/", b.pkg)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s could not be built: %w", b.pkg, err)
		}
	}
	return os.Setenv(programsEnv, dir)
}
