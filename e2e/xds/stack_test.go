//go:build e2e || soak

package xds

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// stack is one of the xDS clients.
type stack struct {
	name    string
	install string // the make target that installs what the stack needs
	found   func() error
	command func() *exec.Cmd
}

var stacks = []stack{
	{
		name: "grpc-go", install: "none", found: func() error { return nil },
		command: func() *exec.Cmd { return exec.Command(grpcgo) },
	},
	{
		name: "grpc-js", install: "grpcjs", found: func() error {
			_, err := os.Stat("testdata/grpcjs/node_modules/.package-lock.json")
			return err
		},
		command: func() *exec.Cmd { return exec.Command("node", "testdata/grpcjs/driver.js") },
	},
	{
		name: "C-core", install: "grpccore", found: func() error {
			out, err := exec.Command(python, "-c", "import grpc").CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		},
		command: func() *exec.Cmd { return exec.Command(python, "testdata/grpccore/driver.py") },
	},
}

// python is the interpreter for which Debian's package python3-grpcio is.
const python = "/usr/bin/python3"

// driver is the process of a stack.
type driver struct {
	t     *testing.T
	name  string
	stdin io.WriteCloser

	mu      sync.Mutex
	seq     int
	waiting map[int]chan counts
	ended   chan struct{}
}

// counts is a number of calls, by the backend that answered and by the error.
type counts struct {
	Seq      int
	Backends map[string]int
	Errors   map[string]int
}

// total returns the number of calls.
func (c counts) total() int { return c.answered() + c.failed() }

func (c counts) answered() int { return sum(c.Backends) }

func (c counts) failed() int { return sum(c.Errors) }

// and returns the sum of two counts.
func (c counts) and(d counts) counts {
	s := counts{Backends: map[string]int{}, Errors: map[string]int{}}
	for _, each := range []counts{c, d} {
		for name, n := range each.Backends {
			s.Backends[name] += n
		}
		for name, n := range each.Errors {
			s.Errors[name] += n
		}
	}
	return s
}

// String returns the counts in the order of the names, such as "b0 200, b1 200".
func (c counts) String() string {
	var parts []string
	for _, m := range []map[string]int{c.Backends, c.Errors} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
		}
	}
	return strings.Join(parts, ", ")
}

func sum(m map[string]int) (n int) {
	for _, each := range m {
		n += each
	}
	return n
}

// startDrivers starts all stacks with a bootstrap for the coordinator at an address. roots is the path
// of the certificates that sign those of backends, or empty. It reports stacks that are not installed.
func startDrivers(t *testing.T, at, roots string) []*driver {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap.json")
	var all []*driver
	for _, s := range stacks {
		if err := s.found(); err != nil {
			report := t.Logf
			if os.Getenv("CI") != "" {
				report = t.Errorf
			}
			report("NOT RUN: %s, which `make %s` installs: %v", s.name, s.install, err)
			continue
		}
		if err := os.WriteFile(path, bootstrap(t, at, roots), 0o600); err != nil {
			t.Fatal(err)
		}
		all = append(all, startDriver(t, s, path))
	}
	return all
}

// bootstrap returns the bootstrap that the command `meshhealth envoy bootstrap --grpc` prints. In
// addition, the coordinator serves the authority mesh.
func bootstrap(t *testing.T, at, roots string) []byte {
	t.Helper()
	args := []string{"envoy", "bootstrap", "--grpc", "--coordinator", at}
	if roots != "" {
		args = append(args, "--service-ca", roots)
	}
	out, err := exec.Command(meshhealth, args...).Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	var b map[string]any
	if err := json.Unmarshal(out, &b); err != nil {
		t.Fatal(err)
	}
	b["authorities"] = map[string]any{"mesh": map[string]any{
		"xds_servers":                            b["xds_servers"],
		"client_listener_resource_name_template": "xdstp://mesh/envoy.config.listener.v3.Listener/%s",
	}}
	text, _ := json.Marshal(b) // what was decoded can be encoded
	return text
}

func startDriver(t *testing.T, s stack, bootstrap string) *driver {
	t.Helper()
	d := &driver{t: t, name: s.name, waiting: map[int]chan counts{}, ended: make(chan struct{})}
	cmd := s.command()
	cmd.Env = append(os.Environ(), "GRPC_XDS_BOOTSTRAP="+bootstrap, "GRPC_EXPERIMENTAL_XDS_FEDERATION=true", "GRPC_VERBOSITY=ERROR")
	var err error
	if d.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder // read after the process has ended
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	go func() {
		defer close(d.ended)
		d.read(out)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = d.stdin.Close()
		select {
		case <-d.ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-d.ended
			t.Errorf("%s has not ended with its stdin", s.name)
		}
		if t.Failed() && said.Len() > 0 {
			t.Logf("%s said:\n%.4000s", s.name, said.String())
		}
	})
	return d
}

func (d *driver) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var c counts
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			d.t.Errorf("%s: %s: %v", d.name, lines.Text(), err)
			return
		}
		d.mu.Lock()
		answer := d.waiting[c.Seq]
		delete(d.waiting, c.Seq)
		d.mu.Unlock()
		answer <- c
	}
}

// command is a command for a driver.
type command struct {
	Seq      int    `json:"seq"`
	Do       string `json:"do"`
	Target   string `json:"target"`
	Secure   bool   `json:"secure"`
	Count    int    `json:"count"`
	Inflight int    `json:"inflight"`
}

// run sends a command, and waits for the answer. A driver that does not answer fails the test.
func (d *driver) run(c command) counts {
	answer := make(chan counts, 1)
	d.mu.Lock()
	d.seq++
	c.Seq = d.seq
	d.waiting[c.Seq] = answer
	text, _ := json.Marshal(c) // numbers and texts can always be encoded
	_, err := d.stdin.Write(append(text, '\n'))
	d.mu.Unlock()
	if err != nil {
		d.t.Errorf("%s: %v", d.name, err)
		return counts{}
	}
	select {
	case got := <-answer:
		return got
	case <-d.ended:
		d.t.Errorf("%s has ended", d.name)
	case <-time.After(patience):
		d.t.Errorf("%s does not answer the command %+v", d.name, c)
	}
	return counts{}
}

// each runs f for all drivers at the same time.
func each(drivers []*driver, f func(i int, d *driver)) {
	var wg sync.WaitGroup
	for i, d := range drivers {
		wg.Go(func() { f(i, d) })
	}
	wg.Wait()
}
