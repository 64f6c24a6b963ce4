package arch

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

const maxDocLines = 40

// docFaults checks that each package has exactly one doc comment. The comment must be
// in doc.go, be short, and end with the section "# Concurrency".
func docFaults(sources []source) []string {
	var faults []string
	pkgs := packages(sources)
	for _, pkg := range slices.Sorted(maps.Keys(pkgs)) {
		var docs []source
		for _, s := range pkgs[pkg] {
			if s.file.Doc != nil {
				docs = append(docs, s)
			}
		}
		if len(docs) != 1 {
			faults = append(faults, fmt.Sprintf("%s: %d package comments, want one, in doc.go", pkg, len(docs)))
			continue
		}
		faults = append(faults, placeFaults(docs[0], len(pkgs[pkg]))...)
		faults = append(faults, textFaults(docs[0])...)
	}
	return faults
}

// packages groups the files that are no tests by package. A package that has only
// tests gets an empty list: it needs a doc comment too.
func packages(sources []source) map[string][]source {
	pkgs := map[string][]source{}
	for _, s := range sources {
		files := pkgs[s.pkg]
		if !s.test {
			files = append(files, s)
		}
		pkgs[s.pkg] = files
	}
	return pkgs
}

// placeFaults checks that the comment is in doc.go or in the only file of a command.
func placeFaults(s source, files int) []string {
	only := s.file.Name.Name == "main" && files == 1
	if path.Base(s.path) == "doc.go" || only {
		return nil
	}
	return []string{s.path + ": the package comment belongs in doc.go"}
}

func textFaults(s source) []string {
	var faults []string
	if n := s.line(s.file.Doc.End()) - s.line(s.file.Doc.Pos()) + 1; n > maxDocLines {
		faults = append(faults, fmt.Sprintf("%s: the package comment has %d lines, want at most %d", s.path, n, maxDocLines))
	}
	if !endsWith(s.file.Doc.Text(), "# Concurrency") {
		faults = append(faults, s.path+": the last section of the package comment must be \"# Concurrency\"")
	}
	return faults
}

// endsWith reports whether the last section of a comment has this heading and some
// text below it.
func endsWith(text, heading string) bool {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "# ") {
			return line == heading && i < len(lines)-1
		}
	}
	return false
}

func TestDocs(t *testing.T) {
	report(t, docFaults(module(t)))
}

func TestDocFaults(t *testing.T) {
	const good = "// Package a is.\n//\n// # Concurrency\n//\n// None.\npackage a"
	long := strings.Replace(good, "// Package a is.\n", strings.Repeat("// Package a is.\n", maxDocLines-3), 1)
	command := strings.TrimSuffix(good, "a") + "main"
	for _, c := range []struct {
		name, file, text string
		more             []source
		faults           int
	}{
		{"good", "a/doc.go", good, nil, 0},
		{"with bare files", "a/doc.go", good, []source{example(t, "a/a.go", "package a"), example(t, "a/a_test.go", good)}, 0},
		{"command of one file", "a/main.go", command, nil, 0},
		{"none", "a/doc.go", "package a", nil, 1},
		{"only tests", "a/a_test.go", good, nil, 1},
		{"two", "a/doc.go", good, []source{example(t, "a/a.go", good)}, 1},
		{"in another file", "a/a.go", good, nil, 1},
		{"command of two files", "a/main.go", command, []source{example(t, "a/b.go", "package main")}, 1},
		{"too long", "a/doc.go", long, nil, 1},
		{"no section", "a/doc.go", "// Package a is.\npackage a", nil, 1},
		{"empty section", "a/doc.go", "// Package a is.\n//\n// # Concurrency\npackage a", nil, 1},
		{"not the last", "a/doc.go", strings.Replace(good, "// None.", "// None.\n//\n// # More\n//\n// Text.", 1), nil, 1},
	} {
		expect(t, c.name, c.faults, docFaults(append(c.more, example(t, c.file, c.text))))
	}
}
