package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// TestRegisterFile registers many instances from a file and from stdin, twice.
func TestRegisterFile(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	_, address := stockServer(t)
	file := filepath.Join(t.TempDir(), "services.yaml")
	yaml := fmt.Sprintf(`- {service: pay, instance: a, address: %[1]q, zone: eu-1, labels: {team: core}, rule: any, min_available: 60%%, critical: true}
- service: pay
  instance: b
  address: %[1]q
  protocol: check
  health_name: ""
`, address)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(yaml, "  health_name: \"\"\n", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "registered pay/a at " + address + "\nregistered pay/b at " + address + "\n"
	for range 2 {
		if stdout, _ := l.does(0, "register", "-f", file); stdout != want {
			t.Errorf("%q, want %q", stdout, want)
		}
	}
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	l.becomes("pay/b", pb.Status_STATUS_SERVING)
	if stdout, _ := l.does(0, "status", "pay/a", "-o", "json"); !strings.Contains(stdout, `"team":"core"`) || !strings.Contains(stdout, `"zone":"eu-1"`) {
		t.Error(stdout)
	}

	// JSON lines from stdin, more than fit into one request.
	var b strings.Builder
	for i := range 1201 {
		fmt.Fprintf(&b, `{"service":"many","instance":"i%d","address":%q,"labels":{"face":"\ud83d\ude00\/"}}`+"\n\n", i, address)
	}
	a := l.app()
	a.stdin = strings.NewReader("\ufeff" + b.String())
	l.out.Reset()
	if code := a.run(t.Context(), []string{"register", "--file=-", "--timeout=1m"}); code != 0 || strings.Count(l.out.String(), "registered many/i") != 1201 {
		t.Errorf("code %d, %d lines, %s", code, strings.Count(l.out.String(), "\n"), l.err.String())
	}
	l.becomes("many/i1200", pb.Status_STATUS_SERVING)
	if stdout, _ := l.does(0, "status", "many/i1200", "-o", "json"); !strings.Contains(stdout, `"face":"😀/"`) {
		t.Error(stdout)
	}
}

// TestRegisterFileOfLargeOnes checks that 500 large registrations are sent in several requests.
func TestRegisterFileOfLargeOnes(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, `{"service":"large","instance":"i%d","address":"127.0.0.1:1","labels":{"k0":"x"`, i)
		for k := range 40 {
			fmt.Fprintf(&b, `,"k%d":%q`, k+1, strings.Repeat("x", 255))
		}
		b.WriteString("}}\n")
	}
	a := l.app()
	a.stdin = strings.NewReader("\ufeff" + b.String())
	l.out.Reset()
	l.err.Reset()
	if code := a.run(t.Context(), []string{"register", "-f", "-", "--timeout=1m"}); code != 0 || strings.Count(l.out.String(), "registered large/i") != 500 {
		t.Errorf("code %d, %d lines, %s", code, strings.Count(l.out.String(), "\n"), l.err.String())
	}
}

// TestRegisterFileOfAll checks that nothing is sent if the file has a fault, and that an error
// of the coordinator names the line. Of the refused batch no instance is registered.
func TestRegisterFileOfAll(t *testing.T) {
	l := newLive(t, coordinator.Config{MaxInstances: 700})
	file := filepath.Join(t.TempDir(), "services.yaml")
	fails := func(text string, want ...string) (stdout string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr := l.does(3, "register", "-f", file)
		for _, w := range want {
			if !strings.Contains(stderr, strings.ReplaceAll(w, "FILE", file)) {
				t.Errorf("%.60q: %s\nwant %s", text, stderr, w)
			}
		}
		return stdout
	}
	const good = "- {service: pay, instance: a, address: \"127.0.0.1:1\"}\n"
	for text, want := range map[string]string{
		"":                                       "FILE: names no instance; allowed: a YAML list, or a JSON object a line",
		"[]":                                     "names no instance",
		"{}":                                     "FILE:1: has no service, no instance, no address",
		"nonsense":                               "FILE:1: is \"nonsense\"; allowed: a list",
		good + "- {service: pay, instance: b}\n": "FILE:2: [1]: has no address",
		good + good:                              "FILE:2: [1]: pay/a is there twice; first in line 1",
		good + "- {service: pay, instance: b, address: \"::1:80\"}\n":                           "allowed: [::1]:80",
		good + "- {service: pay, instance: b, adress: \"127.0.0.1:1\"}\n":                       `did you mean "address"?`,
		good + "- {service: p, instance: b, address: \"127.0.0.1:1\", rule: best}\n":            "is no rule",
		good + "- {service: p, instance: b, address: \":1\", critical: true, optional: true}\n": "FILE:2: [1]: is critical beside optional",
		"services: nothing\n":                                   "FILE:1: services: is \"nothing\"; allowed: a list",
		"listen: 127.0.0.1:1\n" + "services: []\n":              "FILE:1: listen: unknown key",
		`{"service":"pay"` + "\n" + `{"service":"pay"}`:         "FILE:1: not JSON: unexpected end of JSON input",
		"\n" + `{"service":"pay","instance":"a","address":"x"}`: "FILE:2: address: \"x\" is not an address",
		`{"service":"pay","instance":"a","address":"h:1"} {}`:   "FILE:1: not JSON",
		`{"service":1,"instance":"a","address":"h:1"}`:          "FILE:1: service: \"1\" is not a text",
		"{\"service\":\"p\",\"instance\":\"a\",\"address\":\"h:1\"}\n{\"service\":\"p\",\"instance\":\"a\",\"address\":\"h:1\"}": "FILE:2: p/a is there twice; first in line 1",
	} {
		if stdout := fails(text, want); stdout != "" {
			t.Errorf("%q: %s", text, stdout)
		}
	}
	l.does(3, "status", "pay/a")

	// The coordinator refuses the second line.
	fails(good+"- {service: pay, instance: b, address: \"192.0.2.1:1\"}\n", "FILE:2: address: ", "0 of 2 are registered")
	l.does(3, "status", "pay/a")

	// More instances than the coordinator allows: the first batch is registered and printed.
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "- {service: many, instance: i%d, address: \"127.0.0.1:1\"}\n", i)
	}
	stdout := fails(b.String(), "allowed: 700", "500 of 1000 are registered; those from line 501 on are not")
	if strings.Count(stdout, "registered ") != 500 {
		t.Errorf("%d lines", strings.Count(stdout, "\n"))
	}
	if _, stderr := l.does(3, "status", "many/i500"); !strings.Contains(stderr, "not registered") {
		t.Error(stderr)
	}
}
