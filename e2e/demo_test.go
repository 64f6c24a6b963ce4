//go:build e2e

package e2e

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// TestDemo runs the first command of the README for a round of its story. It checks what a watcher
// receives, that each printed command works, and that nothing is left behind.
func TestDemo(t *testing.T) {
	p, at := startDemo(t, "--for", "0")
	page := p.line(`^page +http://127\.0\.0\.1:\d+/ui$`)[0]
	if first, _, _ := strings.Cut(p.text(), "\n"); first != page {
		t.Errorf("the first line is %q, want the page", first)
	}
	p.line(`db\.primary will fail`)

	p.line(`» the storage of db\.primary refuses`)
	// At one moment all services that need the database have it as their root.
	symptoms := []string{"ledger", "orders", "payments", "invoices", "checkout", "web"}
	await(t, at, "root", func(known map[string]*health.State) bool {
		for _, name := range symptoms {
			if s := known[name]; s.Status != health.NotServing || s.Root != "db.primary" {
				return false
			}
		}
		return known["db.primary"].Affected == len(symptoms) && known["*"].Status == health.NotServing
	}, append(symptoms, "db.primary", "*")...)
	await(t, at, "recovery", func(known map[string]*health.State) bool { return known["*"].Status.Routable() }, "*")

	guarded := func(known map[string]*health.State) bool {
		return strings.Contains(known[""].Reason, "half of zone eu-b")
	}
	await(t, at, "guard", guarded, "")
	await(t, at, "release", func(known map[string]*health.State) bool { return !guarded(known) }, "")

	// Exactly the instances with the new version are DEGRADED.
	newVersion := []string{"web/b", "web/c", "search/b", "search/c", "catalog/b", "catalog/c"}
	await(t, at, "bad release", func(known map[string]*health.State) bool {
		for name, s := range known {
			if (s.Status == health.Degraded) != slices.Contains(newVersion, name) {
				return false
			}
		}
		return true
	}, append(newVersion, "web/a", "search/a", "catalog/a")...)

	await(t, at, "killed process", func(known map[string]*health.State) bool {
		return known["mail/a"].Status == health.NotServing && known["mail/a"].Cause == health.CauseRefused
	}, "mail/a")
	await(t, at, "draining process", func(known map[string]*health.State) bool {
		return known["sessions/a"].Status == health.Draining
	}, "sessions/a")
	p.line(`the story begins again`)
	runPrinted(t, p)
	p.signal(syscall.SIGINT)
	endsWell(t, p)
}

// runPrinted runs each command of meshhealth that a demo has printed, against this demo.
func runPrinted(t *testing.T, p *process) {
	t.Helper()
	commands := map[string]bool{}
	for _, m := range regexp.MustCompile(`meshhealth (.* --coordinator \S+)`).FindAllStringSubmatch(p.text(), -1) {
		commands[m[1]] = true
	}
	if len(commands) < 6 {
		t.Errorf("only %d commands were printed", len(commands))
	}
	for _, args := range slices.Sorted(maps.Keys(commands)) {
		// The exit codes 0 to 2 are those of statuses.
		if _, stderr, code := call(t, meshhealth, strings.Fields(args)...); code > 2 {
			t.Errorf("meshhealth %s: exit %d\n%s", args, code, stderr)
		}
	}
}

// TestDemoFor checks that a demo ends by itself after the time of --for.
func TestDemoFor(t *testing.T) {
	p, _ := startDemo(t, "--for", "1s")
	endsWell(t, p)
	p.line("instances of .* services") // the summary
}

// TestDemoStorm runs a small storm until its changes reach the watcher of the demo.
func TestDemoStorm(t *testing.T) {
	p, at := startDemo(t, "--storm", "--instances", "600")
	p.line(`… storm: \d+ changes`)
	await(t, at, "storm", func(known map[string]*health.State) bool {
		instances, unwell := 0, 0
		for _, s := range known {
			if s.ID.Aggregate() {
				continue
			}
			instances++
			if s.Reason == "the storm says so" {
				unwell++
			}
		}
		return instances == 600 && unwell > 50
	})
	p.signal(syscall.SIGINT)
	endsWell(t, p)
}

// startDemo starts a demo, and returns the HOST:PORT of its coordinator.
func startDemo(t *testing.T, args ...string) (p *process, at string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	p = start(t, "..", meshhealth, append([]string{"demo", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	return p, p.line(`^terminal +meshhealth explain db\.primary --coordinator (\S+)$`)[1]
}

// endsWell checks that the demo ends without an outage of its coordinator, and leaves no process and
// no file.
func endsWell(t *testing.T, p *process) {
	t.Helper()
	if code := p.wait(); code != 0 || strings.Contains(p.text(), "lost the coordinator") {
		t.Errorf("exit %d, want 0 and no outage", code)
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, 0); err != syscall.ESRCH {
		t.Errorf("a process of the demo is left: %v", err)
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("the demo has left %v %v", left, err)
	}
}

// await watches names of a demo, or all names, until the known states fulfil a condition.
func await(t *testing.T, at, what string, fulfilled func(known map[string]*health.State) bool, names ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.New(client.Config{Coordinator: at})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	known := map[string]*health.State{}
	for u, err := range c.Watch(ctx, client.WatchOptions{Names: names}) {
		if err != nil || u.Stale {
			t.Fatalf("no %s: %v %v", what, err, u.Err)
		}
		for _, e := range u.Entries {
			known[e.ID.String()] = &e.State
		}
		if (u.SnapshotEnd || !u.Snapshot) && fulfilled(known) {
			return
		}
	}
}
