//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAuthorWithoutUser checks the author of an override if $USER is not set, as in cron. It is
// the name in the user database. Without an entry there, as in containers, it is UID@HOST.
func TestAuthorWithoutUser(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "access.yaml")
	write(t, policy, fmt.Sprintf(`
version: 1
rules:
  - name: everybody
    who: [anyone]
    register: {services: ["*"], addresses: [peer]}
    read: {services: ["*"], detail: evidence}
  - name: local
    who: ["unix:uid=%d", "unix:uid=54321"]
    override: {services: ["*"]}
`, os.Getuid()))
	_, at, _ := coordinator(t, "--memory", "--access-policy", policy)
	if _, stderr, code := call(t, meshhealth, "register", "pay/a", "--address", "127.0.0.1:1", "--coordinator", at); code != 0 {
		t.Fatal(stderr)
	}
	run := func(sys *syscall.SysProcAttr, args ...string) string {
		t.Helper()
		cmd := exec.Command(meshhealth, args...)
		cmd.Env, cmd.SysProcAttr, cmd.Dir = []string{"MESHHEALTH_COORDINATOR=" + at}, sys, "/"
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		return string(out)
	}
	// Over TCP nobody has an identity, so the command must find the unix socket.
	run(nil, "maintenance", "on", "pay", "--reason", "disks")
	if list := run(nil, "maintenance", "list", "-o", "json"); strings.Contains(list, `"author":""`) || strings.Contains(list, "@") {
		t.Error(list)
	}
	run(nil, "maintenance", "off", "pay")
	if os.Getuid() != 0 {
		t.Skip("only root may run a process as a user that does not exist")
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	if err := os.Chmod(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	run(nobody, "override", "set", "pay/a", "DEGRADED", "--reason", "disks")
	if list := run(nil, "override", "list", "-o", "json"); !strings.Contains(list, `"author":"54321@`+host+`"`) {
		t.Error(list)
	}
	run(nobody, "override", "clear", "pay/a")
	other := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54322, Gid: 54322}}
	cmd := exec.Command(meshhealth, "override", "set", "pay/a", "DEGRADED", "--reason", "disks", "--coordinator", at)
	cmd.SysProcAttr, cmd.Dir = other, "/"
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "unix:uid=54322 may not override pay/a") {
		t.Errorf("%v: %s", err, out)
	}
}
