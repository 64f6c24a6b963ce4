package arch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// clocks are the ways to read the time, or to wait for it. On the lower floors
// time is a parameter, and the owner above sleeps until the next deadline.
var clocks = []string{
	"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc",
	"time.NewTimer", "time.NewTicker", "time.Tick",
}

// timedContexts are timers, and a goroutine, by another name.
var timedContexts = []string{
	"context.WithTimeout", "context.WithTimeoutCause",
	"context.WithDeadline", "context.WithDeadlineCause", "context.AfterFunc",
}

// purity is what a floor forbids. Imports include what lies below them.
type purity struct {
	stdOnly bool
	imports []string
	except  []string            // imports allowed although they lie below a forbidden one
	members map[string][]string // of these imports, the members allowed
	uses    []string
}

// pure has an entry for each floor with such rules.
var pure = map[int]purity{
	ground: {
		stdOnly: true,
		imports: []string{"sync", "context", "os", "net", "io/fs", "log", "runtime", "math/rand", "crypto/rand"},
		uses:    append([]string{"go", "chan", "select"}, clocks...),
	},
	shelf: {
		imports: []string{"os", "net"},
		// Values and their parsers; nothing in them reaches the network.
		except: []string{"net/netip", "net/url"},
		// Two parsers that happen to live beside the sockets.
		members: map[string][]string{"net": {"SplitHostPort", "JoinHostPort"}},
		uses:    append(append([]string{"go"}, clocks...), timedContexts...),
	},
}

// purityFaults finds what is forbidden on a file's floor.
func purityFaults(plan []place, sources []source) []string {
	var faults []string
	for _, s := range sources {
		rule, is := pure[find(plan, s.pkg).floor]
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
			faults = append(faults, fmt.Sprintf("%s:%d: this floor must not import %s", s.path, i.line, i.path))
		}
	}
	if dot := s.importNames()["."]; dot != "" {
		faults = append(faults, fmt.Sprintf("%s: a dot import of %s hides what is used", s.path, dot))
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
			faults = append(faults, fmt.Sprintf("%s:%d: this floor must not use %s", s.path, u.line, u.what))
		}
	}
	return faults
}

// refusesMember tells members of a package of which only some are allowed.
func (r purity) refusesMember(what string) bool {
	dot := strings.LastIndexByte(what, '.')
	if dot < 0 {
		return false
	}
	allowed, is := r.members[what[:dot]]
	return is && !slices.Contains(allowed, what[dot+1:])
}

// under tells whether an import is a package or lies below it.
func under(importPath, p string) bool {
	return importPath == p || strings.HasPrefix(importPath, p+"/")
}

// standard tells packages of the standard library: their paths begin without a
// host name.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func TestPurity(t *testing.T) {
	report(t, purityFaults(plan, module(t)))
}

func TestPurityFaultsImports(t *testing.T) {
	for _, c := range []struct {
		imports       string
		ground, shelf int // faults
	}{
		{"fmt", 0, 0},
		{"container/heap", 0, 0},
		{"sync", 1, 0},
		{"sync/atomic", 1, 0},
		{"context", 1, 0},
		{"os", 1, 1},
		{"os/exec", 1, 1},
		{"net", 1, 0}, // its members are judged one by one
		{"net/http", 1, 1},
		{"net/netip", 1, 0},
		{"log/slog", 1, 0},
		{"io/fs", 1, 0},
		{"runtime/debug", 1, 0},
		{"math/rand/v2", 1, 0},
		{"google.golang.org/grpc/codes", 1, 0},
		{modulePath + "/gen/meshhealth/v1", 1, 0},
	} {
		text := fmt.Sprintf("package a\nimport %q", c.imports)
		expect(t, "ground imports "+c.imports, c.ground, purityFaults(plan, []source{example(t, "health/a.go", text)}))
		expect(t, "shelf imports "+c.imports, c.shelf, purityFaults(plan, []source{example(t, "health/feed/a.go", text)}))
	}
}

func TestPurityFaultsUses(t *testing.T) {
	const timer = "import \"time\"\nvar x = time."
	for _, c := range []struct {
		text                string
		ground, shelf, room int // faults
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
		// On the ground it is the import that is refused.
		{"import \"context\"\nvar x = context.WithTimeout", 1, 1, 0},
		{"import \"net\"\nvar x = net.SplitHostPort", 1, 0, 0},
		{"import \"net\"\nvar x = net.Dial", 1, 1, 0},
		{"import n \"net\"\nvar x n.Conn", 1, 1, 0},
	} {
		text := "package a\n" + c.text
		expect(t, "ground: "+c.text, c.ground, purityFaults(plan, []source{example(t, "health/a.go", text)}))
		expect(t, "shelf: "+c.text, c.shelf, purityFaults(plan, []source{example(t, "coordinator/store/a.go", text)}))
		expect(t, "room: "+c.text, c.room, purityFaults(plan, []source{example(t, "server/a.go", text)}))
		expect(t, "test: "+c.text, 0, purityFaults(plan, []source{example(t, "health/a_test.go", text)}))
	}
}
