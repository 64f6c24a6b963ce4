package arch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// clocks has the functions that read the time or wait. In the lower layers, time is a parameter,
// and a goroutine of a higher layer waits for the next deadline.
var clocks = []string{
	"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc",
	"time.NewTimer", "time.NewTicker", "time.Tick",
}

// timedContexts has the functions of package context that start a timer or a goroutine.
var timedContexts = []string{
	"context.WithTimeout", "context.WithTimeoutCause",
	"context.WithDeadline", "context.WithDeadlineCause", "context.AfterFunc",
}

// purity has the rules of a layer: what its packages may not import or use. A forbidden import
// also forbids all folders below it.
type purity struct {
	stdOnly bool
	imports []string
	except  []string            // imports that are allowed although a folder above them is forbidden
	members map[string][]string // the only members that are allowed, by the import that has them
	uses    []string
}

// values is the purity of packages without locks, goroutines, clocks, random numbers and system
// calls.
var values = purity{
	stdOnly: true,
	imports: []string{"sync", "context", "os", "net", "io/fs", "log", "runtime", "math/rand", "crypto/rand"},
	// The packages of this project have the same rules. TestLayers checks which of them a package may
	// import. Package net/netip has values and parsers only.
	except: []string{"net/netip", modulePath + "/health", modulePath + "/internal/graph", modulePath + "/internal/domain", modulePath + "/internal/fields", modulePath + "/internal/quoted"},
	uses:   append([]string{"go", "chan", "select"}, clocks...),
}

// pure has the purity of each layer that has one.
var pure = map[int]purity{
	base:       values,
	vocabulary: values,
	judgement:  values,
	core:       {imports: values.imports, uses: values.uses},
	shared: {
		imports: []string{"os", "net"},
		// These packages have values and parsers only and do not use the network.
		except: []string{"net/netip", "net/url"},
		// Two parsers of package net that do not use the network.
		members: map[string][]string{"net": {"SplitHostPort", "JoinHostPort"}},
		uses:    append(append([]string{"go"}, clocks...), timedContexts...),
	},
}

// purityFaults finds uses and imports that the layer of a file forbids.
func purityFaults(plan []row, sources []source) []string {
	var faults []string
	for _, s := range sources {
		rule, is := pure[rowOf(plan, s.pkg).layer]
		if !is || s.test {
			continue
		}
		faults = append(faults, rule.importFaults(s)...)
		faults = append(faults, rule.useFaults(s)...)
	}
	return faults
}

func (r purity) importFaults(s source) []string {
	var faults []string
	for _, i := range s.imports() {
		if r.refuses(i.path) {
			faults = append(faults, fmt.Sprintf("%s:%d: its layer must not import %s", s.path, i.line, i.path))
		}
	}
	if dot := s.importNames()["."]; dot != "" {
		faults = append(faults, fmt.Sprintf("%s: a dot import of %s hides which names are used", s.path, dot))
	}
	return faults
}

func (r purity) refuses(importPath string) bool {
	below := func(p string) bool { return under(importPath, p) }
	if slices.ContainsFunc(r.except, below) || r.members[importPath] != nil {
		return false
	}
	return r.stdOnly && !standard(importPath) || slices.ContainsFunc(r.imports, below)
}

func (r purity) useFaults(s source) []string {
	var faults []string
	for _, u := range s.uses() {
		if slices.Contains(r.uses, u.what) || r.refusesMember(u.what) {
			faults = append(faults, fmt.Sprintf("%s:%d: its layer must not use %s", s.path, u.line, u.what))
		}
	}
	return faults
}

// refusesMember reports whether a member of a package, such as "net.Dial", is not allowed.
func (r purity) refusesMember(what string) bool {
	dot := strings.LastIndexByte(what, '.')
	if dot < 0 {
		return false
	}
	allowed, is := r.members[what[:dot]]
	return is && !slices.Contains(allowed, what[dot+1:])
}

// under reports whether an import is the package p, or is in a folder below it.
func under(importPath, p string) bool {
	return importPath == p || strings.HasPrefix(importPath, p+"/")
}

// standard reports whether a package is in the standard library. The path of such a package does
// not begin with a host name.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func TestPurity(t *testing.T) {
	report(t, purityFaults(plan, module(t)))
}

func TestPurityFaultsImports(t *testing.T) {
	for _, c := range []struct {
		imports            string
		vocabulary, shared int // faults
	}{
		{"fmt", 0, 0},
		{"container/heap", 0, 0},
		{"sync", 1, 0},
		{"sync/atomic", 1, 0},
		{"context", 1, 0},
		{"os", 1, 1},
		{"os/exec", 1, 1},
		{"net", 1, 0}, // its members are checked one by one
		{"net/http", 1, 1},
		{"net/netip", 0, 0},
		{"log/slog", 1, 0},
		{"io/fs", 1, 0},
		{"runtime/debug", 1, 0},
		{"math/rand/v2", 1, 0},
		{"google.golang.org/grpc/codes", 1, 0},
		{modulePath + "/gen/meshhealth/v1", 1, 0},
	} {
		text := fmt.Sprintf("package a\nimport %q", c.imports)
		expect(t, "vocabulary imports "+c.imports, c.vocabulary, purityFaults(plan, []source{example(t, "health/a.go", text)}))
		expect(t, "shared imports "+c.imports, c.shared, purityFaults(plan, []source{example(t, "health/feed/a.go", text)}))
	}
}

func TestPurityFaultsUses(t *testing.T) {
	const timer = "import \"time\"\nvar x = time."
	for _, c := range []struct {
		text                          string
		vocabulary, shared, component int // faults
	}{
		{timer + "Second", 0, 0, 0},
		{timer + "Now()", 1, 1, 0},
		{timer + "Since", 1, 1, 0},
		{timer + "Until", 1, 1, 0},
		{timer + "Sleep", 1, 1, 0},
		{timer + "After(1)", 1, 1, 0},
		{timer + "AfterFunc", 1, 1, 0},
		{timer + "NewTimer(1)", 1, 1, 0},
		{timer + "NewTicker(1)", 1, 1, 0},
		{timer + "Tick(1)", 1, 1, 0},
		{"import . \"time\"\nvar x = Now()", 1, 1, 0},
		{"func f() { go f() }", 1, 1, 0},
		{"var c chan int", 1, 0, 0},
		{"func f() { select {} }", 1, 0, 0},
		// In the layer vocabulary the import itself is refused.
		{"import \"context\"\nvar x = context.WithTimeout", 1, 1, 0},
		{"import \"net\"\nvar x = net.SplitHostPort", 1, 0, 0},
		{"import \"net\"\nvar x = net.Dial", 1, 1, 0},
		{"import n \"net\"\nvar x n.Conn", 1, 1, 0},
	} {
		text := "package a\n" + c.text
		expect(t, "vocabulary: "+c.text, c.vocabulary, purityFaults(plan, []source{example(t, "health/a.go", text)}))
		expect(t, "shared: "+c.text, c.shared, purityFaults(plan, []source{example(t, "coordinator/store/a.go", text)}))
		expect(t, "component: "+c.text, c.component, purityFaults(plan, []source{example(t, "server/a.go", text)}))
		expect(t, "test: "+c.text, 0, purityFaults(plan, []source{example(t, "health/a_test.go", text)}))
	}
}
