//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// untilStopped lists the commands that run until they are stopped.
// The value is the line that a command prints when the commands after it may begin.
var untilStopped = map[string]string{
	// The services of the demo have registered.
	"go run ./cmd/meshhealth demo --for 0": "● SERVING",
	"meshhealth coordinator":               "listening",

	"meshhealth coordinator --http-hosts status.example.com --web-prefix /mesh": "listening",
}

// testedElsewhere lists the commands that another test runs.
var testedElsewhere = []string{"go run ./cmd/meshhealth demo"}

// TestReadme runs every command of README.md and docs/*.md. A page has a folder of its
// own, with the configuration that the page shows. Its commands run in their order. A
// coordinator runs from the beginning.
func TestReadme(t *testing.T) {
	all := pages(t)
	for _, page := range slices.Sorted(maps.Keys(all)) {
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
			s := &session{t: t, dir: t.TempDir()}
			s.prepare(all[page])
			commands := commandsOf(all[page])
			if len(commands) > 0 && !slices.Contains(commands, "meshhealth coordinator") {
				commands = append([]string{"meshhealth coordinator"}, commands...)
			}
			for _, command := range commands {
				s.run(command)
			}
			s.end()
		})
	}
}

// commandsOf returns the commands of a page's console blocks.
func commandsOf(page string) []string {
	var all []string
	for _, b := range blocks(page) {
		if b.language == "console" {
			for line := range strings.Lines(b.text) {
				all = append(all, strings.TrimSpace(strings.TrimPrefix(line, "$ ")))
			}
		}
	}
	return all
}

// session runs the commands of one page. At most one of them runs until it is stopped.
type session struct {
	t       *testing.T
	dir     string
	running *process
}

// prepare writes the configuration that a page shows, and the certificates that it
// names, and checks each part of a configuration.
func (s *session) prepare(page string) {
	parts := 0
	for _, b := range blocks(page) {
		switch {
		case strings.HasPrefix(b.text, wholeConfig):
			s.write("meshhealth.yaml", b.text)
		case strings.HasPrefix(b.text, partOfConfig):
			parts++
			name := fmt.Sprintf("part%d.yaml", parts)
			s.write(name, b.text)
			certificates(s.t, s.dir)
			s.write("ca.pem", read(s.t, s.dir+"/cert.pem"))
			s.run("meshhealth coordinator --check-config --config " + name + " # exit 0")
		}
	}
}

func (s *session) write(name, text string) {
	s.t.Helper()
	write(s.t, filepath.Join(s.dir, name), text)
}

// run runs one command of the page.
func (s *session) run(line string) {
	s.t.Helper()
	command, exits, _ := strings.Cut(line, " # exit ")
	ready, runs := untilStopped[command]
	switch {
	case slices.Contains(testedElsewhere, command):
	case runs:
		s.end()
		s.running = start(s.t, s.place(command), "bash", "-c", "exec "+command)
		s.running.line(ready)
		s.running.answers(s.t)
	default:
		_, stderr, code := call(s.t, "bash", "-c", "cd "+s.place(command)+" && "+command)
		if !allowed(exits, code) {
			s.t.Errorf("$ %s\nexit %d %s", command, code, stderr)
		}
	}
}

// end stops the command that runs until it is stopped.
func (s *session) end() {
	switch {
	case s.running == nil:
	case s.running.cmd.Dir == s.dir:
		s.running.stop(syscall.SIGINT) // Ctrl-C
	default: // `go run` exits with 1 after a signal, whatever its program returns
		s.running.signal(syscall.SIGINT)
		s.running.wait()
	}
	s.running = nil
}

// place returns the folder for a command: the repository for `go run`, otherwise the
// folder of the session.
func (s *session) place(command string) string {
	if strings.HasPrefix(command, "go run") {
		return ".."
	}
	return s.dir
}

// allowed reports whether a command may exit with the code. Without a list on the page
// these are the codes of a mesh that is SERVING, DEGRADED or NOT_SERVING.
func allowed(exits string, code int) bool {
	if exits == "" {
		return code == 0 || code == 1 || code == 2
	}
	return slices.Contains(strings.Fields(exits), strconv.Itoa(code))
}

// answers waits until the coordinator that p runs answers calls.
func (p *process) answers(t *testing.T) {
	t.Helper()
	for late := time.Now().Add(patience); time.Now().Before(late); {
		if _, _, code := call(t, meshhealth, "history"); code == 0 {
			return
		}
	}
	t.Fatalf("%s does not answer", p.cmd)
}

// TestReadmeProgram runs the full program of docs/library.md and the small program of
// README.md. TestReadmeBlocks checks that the pages show these programs.
func TestReadmeProgram(t *testing.T) {
	c := start(t, t.TempDir(), meshhealth, "coordinator", "--memory")
	c.line("listening")
	small := start(t, ".", bin+"/small")
	c.line(`"payments/b".*"to":"SERVING"`)
	small.signal(syscall.SIGTERM)
	p := start(t, ".", bin+"/service")
	c.line(`"payments/a".*"to":"SERVING"`)
	out, _, code := call(t, meshhealth, "status", "payments/a")
	if code != 0 || !strings.Contains(out, "db") {
		t.Errorf("exit %d\n%s", code, out)
	}
	p.stop(syscall.SIGTERM)
	c.line(`"payments/a".*"removed":true`)
	c.stop(syscall.SIGTERM)
}

// TestReadmeStatus checks that the picture of `status` in the README has the columns
// that the command prints.
func TestReadmeStatus(t *testing.T) {
	c := start(t, t.TempDir(), meshhealth, "coordinator", "--memory")
	c.line("listening")
	if _, stderr, code := call(t, meshhealth, "register", "legacy/a", "--address", "127.0.0.1:9"); code != 0 {
		t.Fatal(stderr)
	}
	out, _, _ := call(t, meshhealth, "status")
	columns := regexp.MustCompile(`(?m)^STATUS +NAME .*$`)
	printed, shown := columns.FindString(out), columns.FindString(read(t, "../README.md"))
	if printed == "" || !slices.Equal(strings.Fields(printed), strings.Fields(shown)) {
		t.Errorf("README.md shows the columns %q, and the command prints\n%s", shown, out)
	}
	c.stop(syscall.SIGTERM)
}

// TestReadmeModule runs the commands that add the library to a module, in an empty
// folder, and builds the full program there.
func TestReadmeModule(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, page := range pages(t) {
		for _, b := range blocks(page) {
			if b.language == "sh" {
				commands = append(commands, strings.ReplaceAll(b.text, "/path/to/meshhealth", root))
			}
		}
	}
	if len(commands) != 1 {
		t.Fatalf("the pages have %d blocks of sh, want 1", len(commands))
	}
	dir := t.TempDir()
	write(t, dir+"/main.go", read(t, "testdata/service/main.go"))
	for _, command := range []string{"go mod init example.com/payments", commands[0], "go vet ./...", "go build ./..."} {
		if _, stderr, code := call(t, "bash", "-e", "-c", "cd "+dir+"\n"+command); code != 0 {
			t.Fatalf("%s\nexit %d: %s", command, code, stderr)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
