package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/internal/access"
)

// everyKey is an access policy with every key.
const everyKey = `version: 1
trust_domain: example.org
allow_dns_names: true
tokens:
  ops.cli: ["sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "sha256:9b74c9897bac770ffc029102a200c5de1f1bd2c1f3c1d1d2b0f2f8b2d1c1e0a1"]
rules:
  - name: all
    who: ["spiffe://example.org/ns/*/sa/a", "dns:*.example.org", "token:ops.cli", "unix:uid=0", "ext:somebody", authenticated]
    register: {services: [a.*], addresses: [peer, 10.0.0.0/8, "fd00::/8"], proven_addresses: [172.16.0.0/12], ports: [443, "7000-7999"], instances: 200}
    report: {services: [b]}
    read: {services: ["*"], detail: reason}
    route: {services: ["*.c"]}
    override: {services: [a, b], max: 1h30m}
    admin: true
  - {name: some, who: [anyone], register: {services: [d], addresses: [192.0.2.0/24]}}
  - {name: proven, who: [anyone], register: {services: [e], addresses: [], proven_addresses: [192.0.2.0/24]}}
`

// policiesOf returns the access policies in docs/security.md and in the test data of the command.
func policiesOf(t testing.TB) (texts []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(page), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		if strings.HasPrefix(text, "# access.yaml") {
			texts = append(texts, text)
		}
	}
	files, err := filepath.Glob("../../cmd/meshhealth/testdata/*.yaml")
	if err != nil || len(texts) == 0 || len(files) == 0 {
		t.Fatal(len(texts), files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return append(texts, everyKey, goodPolicy, morePolicy, badPolicy)
}

// faultLine is the form of each line of an error about the file x.yaml.
var faultLine = regexp.MustCompile(`^x\.yaml(:[1-9][0-9]*)?: [^\x00-\x1f\x7f]+$`)

// mostMemory is the largest number of bytes that may be allocated for each byte of a policy, and mostAtLeast is that
// for an empty one. Each value of a YAML file needs about 200 bytes.
const mostMemory, mostAtLeast = 400, 2 << 20

// parseAccessWithin parses a policy. The test fails if that needs too much memory.
func parseAccessWithin(t *testing.T, text string) (*access.Policy, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := ParseAccessPolicy("x.yaml", []byte(text))
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > mostAtLeast+mostMemory*uint64(len(text)) {
		t.Errorf("%d bytes were allocated for a policy of %d bytes: %.100q", used, len(text), text)
	}
	return p, err
}

// FuzzAccessPolicy checks that no file causes a panic or needs memory out of proportion. Each fault of a refused file
// has the form FILE:LINE: KEY: TEXT. An accepted file is the same policy after it was written and read
// again.
func FuzzAccessPolicy(f *testing.F) {
	for _, text := range policiesOf(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseAccessWithin(t, text)
		if err != nil {
			checkFaults(t, text, err)
			return
		}
		if _, err := access.Compile(p); err != nil {
			t.Errorf("a policy that was accepted does not compile: %v", err)
		}
		p.Warnings()
		checkWritten(t, p)
	})
}

// checkWritten writes a policy, reads it again, and compares both.
func checkWritten(t *testing.T, p *access.Policy) {
	t.Helper()
	const head, about = "first: 1\n\n# second", "rule\n- {}"
	text, err := FormatAccessPolicy(p, head, func(int) string { return about })
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseAccessPolicy("x.yaml", text)
	if err != nil {
		t.Fatalf("%v, written:\n%s", err, text)
	}
	if p, again := inFull(p), inFull(again); !reflect.DeepEqual(p, again) {
		t.Errorf("%+v was written as\n%s\nand read as %+v", p, text, again)
	}
	once, err := FormatAccessPolicy(again, head, func(int) string { return about })
	if err != nil || string(once) != string(text) {
		t.Errorf("%v, written:\n%s\nthen:\n%s", err, text, once)
	}
}

// inFull returns a copy of a policy whose rules have no defaults.
func inFull(p *access.Policy) *access.Policy {
	full := *p
	full.Rules = slices.Clone(p.Rules)
	for i := range full.Rules {
		if g := full.Rules[i].Read; g != nil {
			full.Rules[i].Read = &access.Read{Services: g.Services, Detail: max(access.Status, g.Detail)}
		}
	}
	return &full
}

// checkFaults checks the form of the error of a refused policy.
func checkFaults(t *testing.T, text string, err error) {
	t.Helper()
	if !IsFault(err) {
		t.Errorf("%v is no fault of the file", err)
	}
	for line := range strings.Lines(err.Error()) {
		if !faultLine.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("the fault %q does not have the form FILE:LINE: KEY: TEXT", line)
		}
	}
	if _, again := ParseAccessPolicy("x.yaml", []byte(text)); again == nil || again.Error() != err.Error() {
		t.Errorf("%q, then %v", err, again)
	}
}

// TestHostileAccessPolicies checks that policies with many or deep values, or with many faults, need memory in
// proportion to their size only.
func TestHostileAccessPolicies(t *testing.T) {
	const size = 1 << 18
	key := strings.Repeat("k", 250)
	repeated := func(text string) string { return strings.Repeat(text, size/len(text)) }
	for name, text := range map[string]string{
		"deep mapping":     repeated("{"+key+": ") + "1" + strings.Repeat("}", size/len("{"+key+": ")),
		"wide and deep":    strings.Repeat("{"+key+": ", 50) + "[" + repeated("1,") + "]" + strings.Repeat("}", 50),
		"no rules":         "rules: [" + repeated("1,") + "]",
		"too many rules":   "version: 1\nrules:\n" + repeated("  - {}\n"),
		"wrong identities": "version: 1\nrules:\n" + repeated("  - {name: a, who: ["+strings.Repeat("a*,", 900)+"]}\n"),
		"wrong addresses":  "version: 1\nrules: [{name: a, who: [anyone], register: {services: [a], addresses: [" + repeated("1,") + "]}}]\n",
		"unknown keys":     "version: 1\n" + repeated("a: 1\n"),
		"wrong tokens":     "version: 1\ntokens: {a: [" + repeated("1,") + "]}\n",
		"deep list":        repeated("["),
		"one long text":    "version: \"" + repeated("\\x41") + "\"",
		"no text":          repeated("\x00"),
	} {
		_, err := parseAccessWithin(t, text)
		if err == nil {
			t.Errorf("%s: it was accepted", name)
			continue
		}
		if said := err.Error(); len(said) > 1<<20 || strings.Count(said, "\n") > 50 {
			t.Errorf("%s: the error has %d bytes in %d lines", name, len(said), strings.Count(said, "\n"))
		}
		checkFaults(t, text, err)
	}
}

// TestLinesOfFaults checks the lines of faults and warnings that are found after the file was read.
func TestLinesOfFaults(t *testing.T) {
	hash := func(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }
	text := "version: 1\ntokens:\n  a.b[0]: [" + hash("1") + ", " + hash("2") + "]\n  a:\n    - " + hash("1") +
		"\nrules:\n  - name: one\n    who: [anyone]\n    read:\n      services:\n        - a\n        - a..b\n" +
		"  - name: two\n    who: [anyone]\n"
	_, err := ParseAccessPolicy("x.yaml", []byte(text))
	var lines []string
	for line := range strings.Lines(err.Error()) {
		at, _, _ := strings.Cut(strings.TrimPrefix(line, "x.yaml:"), ": ")
		_, field, _ := strings.Cut(line, ": ")
		field, _, _ = strings.Cut(field, ": ")
		lines = append(lines, at+" "+field)
	}
	if got, want := strings.Join(lines, ", "), "3 tokens.a.b[0], 12 rules[0].read.services[1], 13 rules[1]"; got != want {
		t.Errorf("faults in %s, want %s", got, want)
	}
	file := filepath.Join(t.TempDir(), "x.yaml")
	sound := strings.NewReplacer("a..b", "a.b", "  a:\n    - "+hash("1")+"\n", "", "    who: [anyone]\n", "    who: [anyone]\n    admin: true\n").Replace(text)
	if err := os.WriteFile(file, []byte(sound), 0o600); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := CheckAccessPolicy(t.Context(), file)
	if err != nil || len(warnings) < 2 || !strings.Contains(warnings[0], ":3: tokens.a.b[0]: ") {
		t.Errorf("%q, %v", warnings, err)
	}
}
