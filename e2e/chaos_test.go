//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/chaos"
)

// chaosPatience is the longest time that one scenario may take.
const chaosPatience = 3 * time.Minute

// TestChaos runs every scenario of `meshhealth chaos`. Each must pass: no published state is
// false, missed or late. Only the scenario slowdisk may be skipped, with a reason. The scenarios
// run one after the other, because the ports of killed targets must stay closed.
func TestChaos(t *testing.T) {
	for _, name := range chaos.Names() {
		t.Run(name, func(t *testing.T) { passes(t, name) })
	}
}

// passes runs one scenario to its end.
func passes(t *testing.T, name string) {
	p := start(t, t.TempDir(), meshhealth, "chaos", "--only", name, "-o", "json")
	select {
	case <-p.ended:
	case <-time.After(chaosPatience):
		t.Fatalf("not over after %v", chaosPatience)
	}
	line := p.line(`^\{.*\}$`)[0]
	var got struct {
		Verdict, Skipped       string
		False, Missed, Late    int
		Instances, Transitions int
		Notes, Failures        []string
	}
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	t.Log(line)
	switch {
	case got.Verdict == "skipped" && name == "slowdisk" && got.Skipped != "":
		t.Skip(got.Skipped)
	case got.Verdict != "pass" || p.cmd.ProcessState.ExitCode() != 0:
		t.Errorf("%s: exit %d", got.Verdict, p.cmd.ProcessState.ExitCode())
	case got.Instances == 0 || got.Transitions == 0:
		t.Error("nothing was tried")
	}
}

// TestChaosLeavesNobody: whether it is interrupted or killed, all that it has
// started ends, the coordinator it has stopped too. Before the fault, the page of the coordinator
// is at the address that it prints.
func TestChaosLeavesNobody(t *testing.T) {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skip("this system does not list its processes in /proc")
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		p := start(t, t.TempDir(), meshhealth, "chaos", "--only", "pause", "--instances", "20", "--wait", "2s")
		page := p.line(`^pause: page (http://127\.0\.0\.1:\d+/ui), grpc 127\.0\.0\.1:\d+$`)[1]
		requirePage(t, page)
		p.line("stopping the coordinator")
		if n := children(t); n != 3 {
			t.Errorf("%d children, want a coordinator and two hosts", n)
		}
		p.signal(s)
		if code := p.wait(); s == syscall.SIGINT && (code != 3 || !strings.Contains(p.text(), "pause: interrupted")) {
			t.Errorf("exit %d after an interrupt", code)
		}
		for late := time.Now().Add(patience); children(t) > 0; {
			if time.Now().After(late) {
				t.Fatalf("%d children are left after %v", children(t), s)
			}
		}
	}
}

// requirePage requires that the page of the coordinator is at the URL that chaos prints.
func requirePage(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(page), "<title>meshhealth</title>") {
		t.Errorf("%s has no page of a coordinator: %s, %v", url, page, err)
	}
}

// children returns the number of child processes of the command `meshhealth chaos`.
func children(t *testing.T) (n int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err == nil && bytes.HasPrefix(line, []byte(meshhealth+"\x00chaos-child\x00")) {
			n++
		}
	}
	return n
}
