//go:build soak

package chaos

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
)

// soakRounds is how often the coordinator is killed.
const soakRounds = 100

// TestSoakKill kills the coordinator under load many times on the same data.
func TestSoakKill(t *testing.T) {
	if !supported {
		t.Skip(ErrUnsupported)
	}
	binary := filepath.Join(t.TempDir(), "meshhealth")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/meshhealth").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	command := func(_ context.Context, args ...string) *exec.Cmd {
		return exec.Command(binary, append([]string{"chaos-child", "--"}, args...)...)
	}
	all, err := Run(t.Context(), Config{
		Only: []string{"kill"}, Rounds: soakRounds, Command: command,
		Host:     func(ctx context.Context) *exec.Cmd { return command(ctx) },
		Progress: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		t.Logf("%s: %d transitions, %d false, %d missed, %d late, at most %v to detect one; %q",
			v.Scenario, v.Transitions, v.False, v.Missed, v.Late, v.Detection(100), v.Notes)
		if !v.OK() {
			t.Errorf("%s: %q", v.Scenario, v.Failures)
		}
	}
}
