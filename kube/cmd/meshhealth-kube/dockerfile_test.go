//go:build kube

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDockerfile reads the Dockerfile, and runs the build commands of its first stage in this checkout.
// Nothing is pulled.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("../../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := parseDockerfile(t, string(text))
	if len(stages) != 3 || stages[0].name != "build" || stages[1].name != "meshhealth-kube" || stages[2].name != "meshhealth" {
		t.Fatalf("the stages are %v", stages)
	}
	out := t.TempDir()
	built := map[string]bool{}
	for _, command := range stages[0].run {
		cmd := exec.Command("sh", "-ec", strings.ReplaceAll(command, "/out/", out+"/"))
		cmd.Dir, cmd.Env = "../../..", append(os.Environ(), stages[0].env...)
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("RUN %s: %v\n%s", command, err, output)
		}
	}
	files, err := filepath.Glob(out + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		built["/out/"+filepath.Base(file)] = true
		if output, err := exec.Command(file, "--help").CombinedOutput(); err != nil {
			t.Errorf("%s --help: %v\n%s", file, err, output)
		}
	}
	for _, s := range stages[1:] {
		if !strings.HasPrefix(s.from, "gcr.io/distroless/static") || s.user == "" || strings.HasPrefix(s.user, "0") || s.user == "root" {
			t.Errorf("the image %s is from %s with the user %q; want a static base image and another user than root", s.name, s.from, s.user)
		}
		for _, c := range s.copied {
			if !built[c[0]] {
				t.Errorf("the image %s copies %s, which the first stage does not build; it builds %v", s.name, c[0], files)
			}
			if s.entrypoint != `["`+c[1]+`"]` {
				t.Errorf("the image %s copies %s, and starts %q", s.name, c[1], s.entrypoint)
			}
		}
	}
}

// stage is one stage of a Dockerfile.
type stage struct {
	from, name, user string
	run, env         []string
	copied           [][2]string // from the stage build
	entrypoint       string
}

// parseDockerfile reads the instructions that the Dockerfile uses. Others are a fault of the test.
func parseDockerfile(t *testing.T, text string) []*stage {
	t.Helper()
	var all []*stage
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		instruction, rest, _ := strings.Cut(line, " ")
		words := strings.Fields(rest)
		if instruction == "FROM" {
			if len(words) != 3 || words[1] != "AS" {
				t.Fatalf("%s: want FROM IMAGE AS NAME", line)
			}
			all = append(all, &stage{from: words[0], name: words[2]})
			continue
		}
		s := all[len(all)-1]
		switch instruction {
		case "RUN":
			s.run = append(s.run, rest)
		case "ENV":
			s.env = append(s.env, rest)
		case "USER":
			s.user = rest
		case "ENTRYPOINT":
			s.entrypoint = rest
		case "COPY":
			if words[0] == "--from=build" {
				s.copied = append(s.copied, [2]string{words[1], words[2]})
			}
		case "WORKDIR":
		default:
			t.Fatalf("%s: the test does not know this instruction", line)
		}
	}
	return all
}
