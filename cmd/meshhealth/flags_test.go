package main

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/config"
)

// TestWrongCommandLines checks the error of each wrong command line. Nothing is printed to
// stdout, no coordinator is asked, and the exit code is 3. In testdata, `$` begins a command
// line, and environment variables stand before the command.
func TestWrongCommandLines(t *testing.T) {
	const file = "testdata/flags.txt"
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b strings.Builder
	comment := true
	for in := bufio.NewScanner(f); in.Scan(); {
		line := in.Text()
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			comment = false
			b.WriteString("\n" + line + "\n" + fails(t, command))
		case comment && line != "":
			b.WriteString(line + "\n")
		}
	}
	golden(t, file, b.String())
}

// fails runs a command line that must fail, and returns its stderr.
func fails(t *testing.T, command string) string {
	t.Helper()
	s := shell{env: map[string]string{}}
	words := strings.Fields(command)
	for words[0] != "meshhealth" {
		name, value, _ := strings.Cut(words[0], "=")
		s.env[name], words = value, words[1:]
	}
	stdout, stderr, code := s.run(t.Context(), words[1:]...)
	if stdout != "" || stderr == "" || code != exitFail {
		t.Errorf("%s: %q on stdout, %q on stderr, code %d", command, stdout, stderr, code)
	}
	return stderr
}

// TestHelp checks that every command prints its help to stdout and succeeds.
func TestHelp(t *testing.T) {
	var s shell
	root := rootCommand(s.app())
	for _, cmd := range root.Commands() {
		stdout, stderr, code := s.run(t.Context(), cmd.Name(), "--help")
		usage := strings.Contains(stdout, "Usage:\n  meshhealth "+cmd.Name())
		if code != exitOK || stderr != "" || usage == cmd.IsAdditionalHelpTopicCommand() {
			t.Errorf("%s: code %d, %q, %q", cmd.Name(), code, stdout, stderr)
		}
		for line := range strings.Lines(stdout) {
			if len([]rune(line)) > 110 && !strings.Contains(line, "--") {
				t.Errorf("%s: a line too long for a terminal: %q", cmd.Name(), line)
			}
		}
	}
	stdout, _, code := s.run(t.Context())
	if code != exitOK || !strings.Contains(stdout, "meshhealth demo") || strings.Contains(stdout, demoInstance) {
		t.Errorf("without arguments: code %d, %q", code, stdout)
	}
}

// TestCheckConfig checks a file without faults, no file, and a file with faults.
func TestCheckConfig(t *testing.T) {
	var s shell
	stdout, stderr, code := s.run(t.Context(), "coordinator", "--config", "testdata/sound.yaml", "--check-config")
	if stdout != "testdata/sound.yaml: ok\n" || stderr != "" || code != exitOK {
		t.Errorf("%q, %q, %d", stdout, stderr, code)
	}
	stdout, stderr, code = s.run(t.Context(), "coordinator", "--check-config")
	if stdout != "flags: ok\n" || stderr != "" || code != exitOK {
		t.Errorf("%q, %q, %d", stdout, stderr, code)
	}
	stdout, stderr, code = s.run(t.Context(), "coordinator", "--config", "testdata/unsound.yaml", "--check-config")
	want := `meshhealth: testdata/unsound.yaml:2: lisen: unknown key; did you mean "listen"?` + "\n" +
		`testdata/unsound.yaml:4: policy.amnesty: "30" has no unit; allowed: a duration such as 15s, 1m30s or 2h, from 1s to 720h, or off` + "\n"
	if stdout != "" || stderr != want || code != exitFail {
		t.Errorf("%q, %q, %d", stdout, stderr, code)
	}
}

// TestFlagsGoBeforeTheFile checks that flags replace settings of the file, and leave the
// others.
func TestFlagsGoBeforeTheFile(t *testing.T) {
	var s shell
	cmd := coordinatorCommand(s.app())
	f := coordinatorFlags{config: "testdata/sound.yaml", listen: "127.0.0.1:1", memory: true, logLevel: "error"}
	got, err := f.settings(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	cfg := got.Coordinator
	if cfg.Listen != "127.0.0.1:1" || cfg.HTTP != "127.0.0.1:7001" || !got.InMemory() || got.Log != (config.Log{Format: "console", Level: "error"}) {
		t.Errorf("%q %q %q %v", cfg.Listen, cfg.HTTP, cfg.DataDir, got.Log)
	}
}
