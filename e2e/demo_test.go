//go:build e2e

package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// TestDemo runs the first command of the README until services were degraded, have failed
// and have drained, and interrupts it.
func TestDemo(t *testing.T) {
	p := startDemo(t, "0")
	for _, status := range []string{"SERVING", "DEGRADED", "NOT_SERVING", "DRAINING"} {
		p.line(`\b` + status + `\b`)
	}
	p.signal(syscall.SIGINT)
	endsWell(t, p)
}

// TestDemoFor checks that a demo ends by itself after the time of --for.
func TestDemoFor(t *testing.T) {
	p := startDemo(t, "1s")
	endsWell(t, p)
	p.line("instances of .* services") // the summary
}

func startDemo(t *testing.T, lasting string) *process {
	t.Helper()
	return start(t, "..", meshhealth, "demo", "--for", lasting, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
}

// endsWell checks that the demo ends without an outage of its coordinator.
func endsWell(t *testing.T, p *process) {
	t.Helper()
	if code := p.wait(); code != 0 || strings.Contains(p.text(), "lost the coordinator") {
		t.Errorf("exit %d, want 0 and no outage", code)
	}
}
