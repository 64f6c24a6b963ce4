package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// Reader reads the node n of a YAML file into the variable for which the Reader was made. It adds
// the faults of the node to the list p. path is the position of the node in the file, such as policy.amnesty.
type Reader func(p *Problems, path string, n *yaml.Node)

// YAML reads the text of a file that has at most one YAML document. content reports whether the
// document has any content.
func YAML(p *Problems, text []byte, read Reader) (content bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return false
	case err != nil:
		addSyntax(p, err)
		return true
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		p.Add(more.Line, "", "a second document begins; allowed: one")
		return true
	}
	if len(doc.Content) != 1 {
		return false
	}
	visit(p, "", doc.Content[0], read)
	return !IsNull(doc.Content[0])
}

var yamlSyntax = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

func addSyntax(p *Problems, err error) {
	m := yamlSyntax.FindStringSubmatch(err.Error())
	if m == nil {
		p.Add(0, "", "%v", err)
		return
	}
	line, _ := strconv.Atoi(m[1]) // line is 0 if the error text contains no line number
	p.Add(line, "", "not YAML: %s", m[2])
}

// visit calls read for a node. It refuses aliases and anchors, because with aliases a small file can
// represent a huge one.
func visit(p *Problems, path string, n *yaml.Node, read Reader) {
	switch {
	case n.Kind == yaml.AliasNode:
		p.Add(n.Line, path, "aliases (*%s) are not allowed; write the value out", n.Value)
	case n.Anchor != "":
		p.Add(n.Line, path, "anchors (&%s) are not allowed", n.Anchor)
	default:
		read(p, path, n)
	}
}

// Fields has a Reader for each key that a mapping may have.
type Fields map[string]Reader

// Object returns a Reader of a mapping. Keys that known does not contain are faults.
func Object(known Fields) Reader {
	return func(p *Problems, path string, n *yaml.Node) {
		keys := slices.Sorted(maps.Keys(known))
		eachPair(p, path, n, "a mapping with "+strings.Join(keys, ", "), func(key string, k, v *yaml.Node) {
			read, ok := known[key]
			if !ok {
				p.Add(k.Line, Join(path, key), "unknown key; %s", suggestKey(key, keys))
				return
			}
			visit(p, Join(path, key), v, read)
		})
	}
}

func suggestKey(key string, keys []string) string {
	if near := Near(key, keys); len(near) > 0 {
		return fmt.Sprintf("did you mean %q?", near[0])
	}
	return "allowed: " + strings.Join(keys, ", ")
}

// ByName returns a Reader of a mapping whose keys are names. check returns an error if a name is not
// allowed. read returns the Reader for the value of a name.
func ByName(check func(name string) error, read func(name string) Reader) Reader {
	return func(p *Problems, path string, n *yaml.Node) {
		eachPair(p, path, n, "a mapping by name", func(key string, k, v *yaml.Node) {
			if err := check(key); err != nil {
				p.Add(k.Line, Join(path, key), "the name %v", err)
				return
			}
			visit(p, Join(path, key), v, read(key))
		})
	}
}

// eachPair calls f with each key and value of the mapping n. It also accepts an empty node, because
// all lines of the mapping may be commented out. If n is no mapping, allowed ends the error text.
func eachPair(p *Problems, path string, n *yaml.Node, allowed string, f func(key string, k, v *yaml.Node)) {
	if IsNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.Add(n.Line, path, "is %s; allowed: %s", Describe(n), allowed)
		return
	}
	first := map[string]int{} // number of the line in which each key was found first
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			p.Add(k.Line, path, "a key is %s; allowed: a text", Describe(k))
			continue
		}
		if line, twice := first[k.Value]; twice {
			p.Add(k.Line, Join(path, k.Value), "is there twice; first in line %d", line)
			continue
		}
		first[k.Value] = k.Line
		f(k.Value, k, v)
	}
}

// List returns a Reader of a sequence. item returns the Reader for the item with the index i.
func List(item func(i int) Reader) Reader {
	return func(p *Problems, path string, n *yaml.Node) {
		if IsNull(n) {
			return
		}
		if n.Kind != yaml.SequenceNode {
			p.Add(n.Line, path, "is %s; allowed: a list", Describe(n))
			return
		}
		for i, v := range n.Content {
			visit(p, fmt.Sprintf("%s[%d]", path, i), v, item(i))
		}
	}
}

// AtMost returns a Reader of a sequence that read reads. If the sequence has more than limit items, this is one
// fault, and no item is read. noun is the word for several items.
func AtMost(limit int, noun string, read Reader) Reader {
	return func(p *Problems, path string, n *yaml.Node) {
		if n.Kind == yaml.SequenceNode && len(n.Content) > limit {
			p.Add(n.Line, path, "has %d %s; allowed: at most %d", len(n.Content), noun, limit)
			return
		}
		read(p, path, n)
	}
}

// Join returns the path of a key in the mapping at path.
func Join(path, key string) string {
	key = wire.CleanTo(key, wire.MaxName)
	if path == "" {
		return key
	}
	return path + "." + key
}

// IsNull reports whether a node has no value.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// Describe returns a description of a node for an error text, such as "a list".
func Describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case IsNull(n):
		return "empty"
	}
	return strconv.Quote(wire.CleanTo(n.Value, 64))
}
