package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandTable is the file from which the page makes command lines.
const commandTable = "../../web/src/gen/commands.ts"

// TestCommandTable checks that the page knows the real commands and flags. With -rewrite it writes
// them.
func TestCommandTable(t *testing.T) {
	var s shell
	var b strings.Builder
	b.WriteString("// Written by `go test ./cmd/meshhealth -run TestCommandTable -rewrite` from the commands of cmd/meshhealth.\n")
	b.WriteString("/** The flags of each command. */\nexport const commands = {\n")
	for _, cmd := range runnable(rootCommand(s.app())) {
		_, path, _ := strings.Cut(cmd.CommandPath(), " ")
		var flags []string
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				flags = append(flags, fmt.Sprintf("%q", f.Name))
			}
		})
		fmt.Fprintf(&b, "  %q: [%s],\n", path, strings.Join(flags, ", "))
	}
	b.WriteString("} as const;\n")
	golden(t, commandTable, b.String())
}

// runnable returns the visible commands below cmd that do something else than to print their help.
func runnable(cmd *cobra.Command) (all []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
			if !sub.HasSubCommands() || sub.Name() == "coordinator" {
				all = append(all, sub)
			}
			all = append(all, runnable(sub)...)
		}
	}
	return all
}

// TestPageCommands runs each command line that the page shows for a sample of its views. The address
// of the coordinator answers nobody, so that a line without a fault ends with the error of the call.
// The tests of the page write the file.
func TestPageCommands(t *testing.T) {
	f, err := os.Open("../../web/test/commandlines.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := shell{env: map[string]string{coordinatorEnv: "127.0.0.1:1", "USER": "ann"}}
	lines := 0
	for in := bufio.NewScanner(f); in.Scan(); {
		_, line, ok := strings.Cut(in.Text(), "\t")
		if !ok {
			t.Fatalf("no tab between the view and the command line: %q", in.Text())
		}
		lines++
		args := shellWords(t, line)
		if args[0] != "meshhealth" {
			t.Errorf("%s: is no command line of meshhealth", line)
			continue
		}
		stdout, stderr, code := s.run(t.Context(), args[1:]...)
		if stdout != "" || code != exitFail || !strings.Contains(stderr, "127.0.0.1:1") {
			t.Errorf("%s: code %d, %q, %q", line, code, stdout, stderr)
		}
	}
	if lines < 10 {
		t.Errorf("%d command lines, want one for each view", lines)
	}
}

// shellWords returns the words into which a shell divides a command line.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\0' `+line).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return slices.DeleteFunc(strings.Split(string(out), "\x00"), func(w string) bool { return w == "" })
}
