//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestAuthor checks the author of an override over the unix socket: the user that the kernel names. The
// environment does not matter. Another user of the machine may not override.
func TestAuthor(t *testing.T) {
	_, at, _ := coordinator(t, "--memory")
	if _, stderr, code := call(t, meshhealth, "register", "pay/a", "--address", "127.0.0.1:1", "--coordinator", at); code != 0 {
		t.Fatal(stderr)
	}
	run := func(sys *syscall.SysProcAttr, args ...string) (string, error) {
		t.Helper()
		cmd := exec.Command(meshhealth, args...)
		cmd.Env, cmd.SysProcAttr, cmd.Dir = []string{"MESHHEALTH_COORDINATOR=" + at, "USER=eve"}, sys, "/"
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(nil, "maintenance", "on", "pay", "--reason", "disks", "--for", "1h"); err != nil {
		t.Fatal(out)
	}
	list, err := run(nil, "maintenance", "list", "-o", "json")
	if err != nil || !strings.Contains(list, `"author":"unix:uid=`) || strings.Contains(list, "eve") {
		t.Errorf("%s, %v", list, err)
	}
	if os.Getuid() != 0 {
		t.Skip("only root may run a process as another user")
	}
	if err := os.Chmod(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	if out, err := run(nobody, "override", "set", "pay/a", "DEGRADED", "--reason", "disks", "--for", "1h"); err == nil || !strings.Contains(out, "may not override pay/a") {
		t.Errorf("%s, %v", out, err)
	}
}
