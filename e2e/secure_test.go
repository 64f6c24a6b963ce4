//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecuritySetUp runs the commands of docs/security.md that make a coordinator and two services with mutual TLS and an
// access policy, in an empty folder.
func TestSecuritySetUp(t *testing.T) {
	_, section, found := strings.Cut(read(t, "../docs/security.md"), "## Mutual TLS in eight commands\n")
	all := blocks(section)
	if !found || len(all) == 0 || all[0].language != "text" {
		t.Fatal("docs/security.md has no such commands")
	}
	commands := strings.Split(strings.TrimSpace(all[0].text), "\n")
	if len(commands) > 10 {
		t.Errorf("the set-up has %d commands, want at most 10", len(commands))
	}
	dir := t.TempDir()
	for name, to := range map[string]string{"meshhealth": meshhealth, "secure": bin + "/secure"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	// The programs were built before. Only policy explain must fail, because its answer is no.
	script := "cd " + dir + "\ntrap 'kill $(jobs -p); wait' EXIT\n"
	for i, command := range commands {
		switch {
		case strings.HasPrefix(command, "go build "):
			continue
		case strings.HasPrefix(command, "go run ./e2e/testdata/secure "):
			command = "./secure " + strings.TrimPrefix(command, "go run ./e2e/testdata/secure ")
		case i == len(commands)-1:
			command = "! " + command
		}
		script += command + "\n"
	}
	out, stderr, code := call(t, "bash", "-e", "-c", script)
	if code != 0 {
		t.Fatalf("exit %d: %s\n%s", code, out, stderr)
	}
	for _, want := range []string{
		"SERVING  orders", "SERVING  payments", "no: spiffe://meshhealth.internal/service/orders may not register payments", `"access_policy"`,
	} {
		if !strings.Contains(out+stderr, want) {
			t.Errorf("the output lacks %q:\n%s\n%s", want, out, stderr)
		}
	}
}
