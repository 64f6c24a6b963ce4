package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestPolicy checks what `policy check` and `policy explain` print. In testdata, `$` begins a command line.
func TestPolicy(t *testing.T) {
	const file = "testdata/policy.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	title, _, _ := strings.Cut(string(text), "\n")
	var b strings.Builder
	b.WriteString(title + "\n")
	for line := range strings.Lines(string(text)) {
		command, is := strings.CutPrefix(line, "$ meshhealth ")
		if !is {
			continue
		}
		var s shell
		stdout, stderr, code := s.run(t.Context(), strings.Fields(command)...)
		fmt.Fprintf(&b, "\n%s%s", line, stdout)
		for fault := range strings.Lines(stderr) {
			b.WriteString("! " + fault)
		}
		fmt.Fprintf(&b, "exit %d\n", code)
	}
	golden(t, file, b.String())
}
