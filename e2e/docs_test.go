package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/health"
)

// maxReadme is the allowed number of lines of README.md.
const maxReadme = 200

// blockKinds has the check of a code block for each language that the pages may use.
var blockKinds = map[string]func(t *testing.T, page, text string){
	"console": checkConsole,
	"go":      checkGo,
	"sh":      func(*testing.T, string, string) {}, // TestReadmeModule runs it
	"text":    func(*testing.T, string, string) {},
	"yaml":    checkYAML,
}

// The first lines of YAML blocks. TestReadme checks the first two with --check-config;
// TestReadmeProbes of package server asks a server for the probes of the third. TestEnvoyFiles
// and TestEnvoyProbes check those of Envoy. TestReadmeBlocks checks access policies.
const (
	wholeConfig  = "# meshhealth.yaml\n"
	partOfConfig = "# a part of meshhealth.yaml\n"
	podConfig    = "# a container of a pod\n"
	envoyConfig  = "# envoy.yaml, "
	accessConfig = "# access.yaml\n"
)

// pages returns the texts of README.md and of docs/*.md by their paths.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("docs/*.md: %v, %v", names, err)
	}
	texts := map[string]string{}
	for _, name := range append(names, "../README.md") {
		texts[name] = read(t, name)
	}
	return texts
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// codeBlock is a fenced block of a page.
type codeBlock struct{ language, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks returns the code blocks of a page in their order.
func blocks(text string) []codeBlock {
	var all []codeBlock
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		all = append(all, codeBlock{m[1], m[2]})
	}
	return all
}

// TestReadmeLength checks that the README stays short and names every page.
func TestReadmeLength(t *testing.T) {
	readme := read(t, "../README.md")
	if n := strings.Count(readme, "\n"); n > maxReadme {
		t.Errorf("README.md: has %d lines; allowed: %d", n, maxReadme)
	}
	for page := range pages(t) {
		if name := strings.TrimPrefix(page, "../"); name != "README.md" && !strings.Contains(readme, "("+name+")") {
			t.Errorf("README.md: has no link to %s", name)
		}
	}
}

// TestReadmeBlocks checks every code block of every page.
func TestReadmeBlocks(t *testing.T) {
	for page, text := range pages(t) {
		for _, b := range blocks(text) {
			check, ok := blockKinds[b.language]
			if !ok {
				t.Errorf("%s: a code block has the language %q, for which there is no check", page, b.language)
				continue
			}
			check(t, page, b.text)
		}
	}
}

// checkConsole requires that each line of a block is a command, which begins with "$ ".
// TestReadme runs these commands.
func checkConsole(t *testing.T, page, text string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "$ ") {
			t.Errorf("%s: a line of a console block is no command: %s", page, line)
		}
	}
}

func checkYAML(t *testing.T, page, text string) {
	if strings.HasPrefix(text, accessConfig) {
		if _, err := config.ParseAccessPolicy(page, []byte(text)); err != nil {
			t.Error(err)
		}
		return
	}
	known := func(mark string) bool { return strings.HasPrefix(text, mark) }
	if !slices.ContainsFunc([]string{wholeConfig, partOfConfig, podConfig, envoyConfig}, known) {
		first, _, _ := strings.Cut(text, "\n")
		t.Errorf("%s: no test runs a YAML block that begins with %q", page, first)
	}
}

// checkGo requires that the lines of a Go block are also in a file that is compiled with the
// tests. Only the indentation may differ.
func checkGo(t *testing.T, page, text string) {
	want := withoutIndent(text)
	found := false
	for _, dir := range []string{"testdata", "../client", "../server", "../coordinator", "../health", "../certs"} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(name, ".go") {
				found = found || strings.Contains(withoutIndent(read(t, name)), want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Errorf("%s: no Go file has these lines:\n%s", page, text)
	}
}

func withoutIndent(text string) string {
	return "\n" + regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(text, "")
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)|\b(?:src|srcset)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	unlike  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the anchors that a Markdown file has for its headings.
func anchors(text string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.ReplaceAll(unlike.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

// brokenLinks returns the relative links of a page that lead to no file or heading.
func brokenLinks(t *testing.T, page, text string) []string {
	var broken []string
	for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		to := m[1] + m[2] // of a link or of an image
		if strings.Contains(to, "://") {
			continue
		}
		file, anchor, _ := strings.Cut(to, "#")
		target := filepath.Join(filepath.Dir(page), file)
		_, err := os.Stat(target)
		headings := text
		if err == nil && file != "" && anchor != "" {
			headings = read(t, target)
		}
		if err != nil || anchor != "" && !slices.Contains(anchors(headings), anchor) {
			broken = append(broken, to)
		}
	}
	return broken
}

// TestReadmeLinks checks the links of all pages for readers.
func TestReadmeLinks(t *testing.T) {
	all := pages(t)
	for _, name := range []string{"../DESIGN.md", "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md"} {
		all[name] = read(t, name)
	}
	for page, text := range all {
		for _, l := range brokenLinks(t, page, text) {
			t.Errorf("%s: the link %s leads nowhere", page, l)
		}
	}
	bad := "# A heading: `x`\n[a](none.md) [b](#a-heading-x) [c](#none) [d](https://example.org) [e](../go.mod) <img src=\"none.png\">"
	if got := brokenLinks(t, "docs.md", bad); !slices.Equal(got, []string{"none.md", "#none", "none.png"}) {
		t.Errorf("broken links of an example: %q", got)
	}
}

// TestReadmeCauses checks that docs/judgement.md explains every status and cause.
func TestReadmeCauses(t *testing.T) {
	page := read(t, "../docs/judgement.md")
	for c := health.CauseNone + 1; c < health.NumCauses; c++ {
		if !strings.Contains(page, "\n| `"+c.String()+"` |") {
			t.Errorf("the cause %s has no row", c)
		}
	}
	for _, s := range health.Statuses() {
		if !strings.Contains(page, "\n| "+s.String()+":") {
			t.Errorf("the status %s has no row", s)
		}
	}
}

// TestReadmeMetrics checks that docs/metrics.md names every metric of a coordinator.
func TestReadmeMetrics(t *testing.T) {
	page := read(t, "../docs/metrics.md")
	exposition := read(t, "../internal/coordinator/metrics/testdata/exposition.txt")
	for _, m := range regexp.MustCompile(`(?m)^# HELP (\w+)`).FindAllStringSubmatch(exposition, -1) {
		if !strings.Contains(page, "`"+m[1]+"`") {
			t.Errorf("the metric %s is not named", m[1])
		}
	}
}

// TestReadmeTargets checks that CONTRIBUTING.md names targets that the Makefile has.
func TestReadmeTargets(t *testing.T) {
	makefile := read(t, "../Makefile")
	for _, m := range regexp.MustCompile("`make (\\w+)").FindAllStringSubmatch(read(t, "../CONTRIBUTING.md"), -1) {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("the Makefile has no target %s", m[1])
		}
	}
}

// maxTerms is the allowed number of rows of the glossary.
const maxTerms = 45

// TestReadmeDesign checks that DESIGN.md has a short glossary and that its table of layers
// names every package.
func TestReadmeDesign(t *testing.T) {
	design := read(t, "../DESIGN.md")
	_, glossary, _ := strings.Cut(design, "| term | meaning |\n|---|---|\n")
	glossary, layers, _ := strings.Cut(glossary, "\n\n")
	if n := strings.Count(glossary, "\n") + 1; n > maxTerms {
		t.Errorf("the glossary has %d rows; allowed: %d", n, maxTerms)
	}
	for _, m := range regexp.MustCompile(`\{path: "([^"]+)"`).FindAllStringSubmatch(read(t, "../internal/arch/plan_test.go"), -1) {
		if strings.Contains(m[1], "/") && !strings.Contains(layers, "`"+m[1]+"`") {
			t.Errorf("the table of layers does not name %s", m[1])
		}
	}
}
