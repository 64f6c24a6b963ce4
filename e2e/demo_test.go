//go:build e2e

package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// TestDemo runs the first command of the README and checks that services degrade, fail
// and recover.
func TestDemo(t *testing.T) {
	p := start(t, "..", meshhealth, "demo", "--for", "20s", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	if code := p.wait(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	out := p.text()
	if strings.Contains(out, "lost the coordinator") {
		t.Error("it ends with an outage")
	}
	for _, status := range []string{"SERVING", "DEGRADED", "NOT_SERVING", "DRAINING"} {
		if !regexp.MustCompile(`\b` + status + `\b`).MatchString(out) {
			t.Errorf("nothing was %s", status)
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Log(strings.TrimSpace(out))
	}
}
