//go:build e2e

package e2e

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stays are the commands that run until they are stopped.
var stays = []string{"go run ./cmd/meshhealth demo --for 0", "meshhealth coordinator"}

// elsewhere are those that another test, or step of .ci/run, runs.
var elsewhere = []string{"make test", "go run ./cmd/meshhealth demo"}

// TestReadme runs every command of the README, in its order.
func TestReadme(t *testing.T) {
	readme := read(t, "../README.md")
	dir := t.TempDir()
	write(t, dir+"/meshhealth.yaml", block(t, readme, "yaml"))
	var running *process
	end := func() {
		switch {
		case running == nil:
		case running.cmd.Dir == dir:
			running.stop(syscall.SIGINT) // Ctrl-C
		default: // `go run` exits with 1 for it, whatever its program does
			running.signal(syscall.SIGINT)
			running.wait()
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\$ (.+)$`).FindAllStringSubmatch(readme, -1) {
		command, exits, _ := strings.Cut(m[1], " # exit ")
		switch {
		case slices.Contains(elsewhere, command):
		case slices.Contains(stays, command):
			end()
			running = start(t, place(command, dir), "bash", "-c", "exec "+command)
			running.line("listening|7071")
			running.answers(t)
		default:
			_, stderr, code := call(t, "bash", "-c", "cd "+place(command, dir)+" && "+command)
			if !allowed(exits, code) {
				t.Errorf("$ %s\nexit %d %s", command, code, stderr)
			}
		}
	}
	end()
}

// allowed: exit 0 unless the README says otherwise; `status` exits with what it
// has found.
func allowed(exits string, code int) bool {
	if exits == "" {
		return code == 0 || code == 1 || code == 2
	}
	return slices.Contains(strings.Fields(exits), strconv.Itoa(code))
}

// place: what begins with the source needs to be there, the rest has a folder
// of its own.
func place(command, dir string) string {
	if strings.HasPrefix(command, "go run") {
		return ".."
	}
	return dir
}

// answers waits until the coordinator that was started answers.
func (p *process) answers(t *testing.T) {
	t.Helper()
	for late := time.Now().Add(patience); ; {
		if _, _, code := call(t, meshhealth, "history"); code == 0 || time.Now().After(late) {
			return
		}
	}
}

// TestReadmeProgram: the program in the README is the one that is run here, and
// it does what the README says.
func TestReadmeProgram(t *testing.T) {
	readme, program := read(t, "../README.md"), read(t, "testdata/service/main.go")
	if body := program[strings.Index(program, "func run()"):]; !strings.Contains(readme, body) {
		t.Error("the README's program is not testdata/service/main.go")
	}
	c := start(t, t.TempDir(), meshhealth, "coordinator", "--memory")
	c.line("listening")
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

// TestReadmeWatch: the loop in the README is the client's own example.
func TestReadmeWatch(t *testing.T) {
	readme, example := read(t, "../README.md"), read(t, "../client/example_test.go")
	for _, line := range []string{"client.WatchOptions{AggregatesOnly: true}", "case u.Stale:", `fmt.Println("out of date:", u.Err)`, "fmt.Println(e.GetService(), e.GetStatus())"} {
		if !strings.Contains(readme, line) || !strings.Contains(example, line) {
			t.Errorf("%s: not in both", line)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// block returns the first code block of a language.
func block(t *testing.T, text, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "```"+language+"\n")
	code, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatalf("no block of %s", language)
	}
	return code
}
