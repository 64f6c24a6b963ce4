package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxConfigFile bounds what is read as a configuration.
const maxConfigFile = 1 << 20

// maxProblems is how many problems of a file are told at once.
const maxProblems = 50

// problem is one thing that is wrong with a file.
type problem struct {
	line int // 0: the file as a whole
	path string
	text string
}

// problems are all that is wrong with a file.
type problems struct {
	file string
	list []problem
}

func (p *problems) Error() string {
	// By line; what concerns the file as a whole comes last, as a consequence.
	slices.SortStableFunc(p.list, func(a, b problem) int { return int(uint(a.line-1)>>1) - int(uint(b.line-1)>>1) })
	var b strings.Builder
	for i, one := range p.list {
		if i == maxProblems {
			fmt.Fprintf(&b, "\n%s: and %d more", p.file, len(p.list)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.file)
		if one.line > 0 {
			b.WriteString(":" + strconv.Itoa(one.line))
		}
		b.WriteString(": ")
		if one.path != "" {
			b.WriteString(one.path + ": ")
		}
		b.WriteString(wire.Clean(one.text))
	}
	return b.String()
}

func (p *problems) add(line int, path, format string, args ...any) {
	p.list = append(p.list, problem{line, path, fmt.Sprintf(format, args...)})
}

// err returns p if there is anything in it.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return p
}

// reader reads one node of a file into wherever it was made for.
type reader func(p *problems, path string, n *yaml.Node)

// readYAML reads a whole file.
func readYAML(p *problems, text []byte, read reader) {
	if len(text) > maxConfigFile {
		p.add(0, "", "is larger than %d bytes", maxConfigFile)
		return
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return // empty: all defaults
	case err != nil:
		p.syntax(err)
		return
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		p.add(more.Line, "", "a second document begins; allowed: one")
		return
	}
	if len(doc.Content) == 1 {
		visit(p, "", doc.Content[0], read)
	}
}

var yamlSyntax = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

func (p *problems) syntax(err error) {
	m := yamlSyntax.FindStringSubmatch(err.Error())
	if m == nil {
		p.add(0, "", "%v", err)
		return
	}
	line, _ := strconv.Atoi(m[1]) // no line: 0
	p.add(line, "", "not YAML: %s", m[2])
}

// visit reads a node unless it is one of those we refuse everywhere: with
// aliases, a small file could stand for an endless one.
func visit(p *problems, path string, n *yaml.Node, read reader) {
	switch {
	case n.Kind == yaml.AliasNode:
		p.add(n.Line, path, "aliases (*%s) are not allowed; write it out", n.Value)
	case n.Anchor != "":
		p.add(n.Line, path, "anchors (&%s) are not allowed", n.Anchor)
	default:
		read(p, path, n)
	}
}

// fields are the keys an object may have.
type fields map[string]reader

// object reads a mapping with known keys.
func object(known fields) reader {
	return func(p *problems, path string, n *yaml.Node) {
		keys := make([]string, 0, len(known))
		for key := range known {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		pairs(p, path, n, "a mapping with "+strings.Join(keys, ", "), func(key string, k, v *yaml.Node) {
			read, ok := known[key]
			if !ok {
				p.add(k.Line, join(path, key), "unknown key; %s", suggest(key, keys))
				return
			}
			visit(p, join(path, key), v, read)
		})
	}
}

func suggest(key string, keys []string) string {
	if near := nearest(key, keys); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "allowed: " + strings.Join(keys, ", ")
}

// byName reads a mapping whose keys are names.
func byName(check func(name string) error, read func(name string) reader) reader {
	return func(p *problems, path string, n *yaml.Node) {
		pairs(p, path, n, "a mapping by name", func(key string, k, v *yaml.Node) {
			if err := check(key); err != nil {
				p.add(k.Line, join(path, key), "the name %v", err)
				return
			}
			visit(p, join(path, key), v, read(key))
		})
	}
}

// pairs calls f for each key of a mapping. A mapping with nothing in it may be
// one whose lines are all commented out.
func pairs(p *problems, path string, n *yaml.Node, allowed string, f func(key string, k, v *yaml.Node)) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.add(n.Line, path, "is %s; allowed: %s", describe(n), allowed)
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			p.add(k.Line, path, "a key is %s; allowed: a text", describe(k))
			continue
		}
		if line, twice := first[k.Value]; twice {
			p.add(k.Line, join(path, k.Value), "is there twice; first in line %d", line)
			continue
		}
		first[k.Value] = k.Line
		f(k.Value, k, v)
	}
}

// list reads a sequence.
func list(item func(i int) reader) reader {
	return func(p *problems, path string, n *yaml.Node) {
		if isNull(n) {
			return
		}
		if n.Kind != yaml.SequenceNode {
			p.add(n.Line, path, "is %s; allowed: a list", describe(n))
			return
		}
		for i, v := range n.Content {
			visit(p, fmt.Sprintf("%s[%d]", path, i), v, item(i))
		}
	}
}

func join(path, key string) string {
	key = wire.CleanTo(key, wire.MaxName)
	if path == "" {
		return key
	}
	return path + "." + key
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// describe says what a node is, for people.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case isNull(n):
		return "empty"
	}
	return strconv.Quote(wire.CleanTo(n.Value, 64))
}
