package envoyconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// maxDepth is the largest depth of lists and mappings. An alias counts too, so that an alias
	// that contains itself is found.
	maxDepth = 100
	// maxJSON is the largest size of a bootstrap with all aliases replaced, in bytes.
	maxJSON = 16 << 20
	// maxFields is the largest number of its fields and list elements. A bootstrap with 10,000
	// endpoints has fewer.
	maxFields = 200_000
)

// emptyAny is a message that any field of the type Any takes. It stands for a message whose type is
// not known.
const emptyAny = `{"@type":"type.googleapis.com/google.protobuf.Empty","value":{}}`

// Fault is one thing in a bootstrap that is wrong, or that could be better.
type Fault struct {
	// Line is the number of the line, from 1. 0 means that no line belongs to the fault.
	Line int
	// Path is the path of the field, such as static_resources.clusters[0].name.
	Path string
	Text string
}

// root is the parent of the fields at the top.
const root = -1

// mark says which field of the YAML text begins at an offset of the JSON text.
type mark struct {
	edge
	offset int // in characters
	line   int
	value  *yaml.Node
}

// edge is the way from a field to one inside of it: a name, or an index such as [0]. parent is the
// index of a mark.
type edge struct {
	parent  int
	segment string
}

// scanner converts YAML nodes to JSON on one line. It remembers where each field came from.
type scanner struct {
	out        bytes.Buffer
	characters int // written so far
	marks      []mark
	byEdge     map[edge]int // indexes of marks
	// skip has the values that are left out, because they were found to be wrong.
	skip map[*yaml.Node]bool
	// unknown has a fault for each message whose type this program does not know.
	unknown []Fault
}

var errTooLarge = fmt.Errorf("is larger than %d bytes or %d fields when its aliases are replaced", maxJSON, maxFields)

// write appends text to the JSON.
func (s *scanner) write(text string) error {
	if s.out.Len()+len(text) > maxJSON {
		return errTooLarge
	}
	s.out.WriteString(text)
	s.characters += utf8.RuneCountInString(text)
	return nil
}

// mark adds a mark and returns its index.
func (s *scanner) mark(parent int, segment string, line int, value *yaml.Node) (int, error) {
	if len(s.marks) == maxFields {
		return 0, errTooLarge
	}
	e := edge{parent, segment}
	s.marks = append(s.marks, mark{e, s.characters, line, value})
	s.byEdge[e] = len(s.marks) - 1
	return len(s.marks) - 1, nil
}

// path returns the path of a mark.
func (s *scanner) path(at int) string {
	if at == root {
		return ""
	}
	var segments []string
	for ; at != root; at = s.marks[at].parent {
		segments = append(segments, wire.CleanTo(s.marks[at].segment, wire.MaxName))
	}
	slices.Reverse(segments)
	path := ""
	for _, segment := range segments {
		if segment[:min(1, len(segment))] == "[" {
			path += segment
		} else {
			path = join(path, segment)
		}
	}
	return path
}

// line returns the line of a field, or of the nearest field around it that is there. 0 means that
// there is none.
func (s *scanner) line(path string) int {
	at := root
	for rest := path; rest != ""; {
		next, size := s.child(at, rest)
		if size == 0 {
			break
		}
		at, rest = next, strings.TrimPrefix(rest[size:], ".")
	}
	if at == root {
		return 0
	}
	return s.marks[at].line
}

// child finds the field inside of a field with which a path begins. The name of the field may have
// dots. size is the number of bytes of the name; 0 means that there is no such field.
func (s *scanner) child(at int, path string) (next, size int) {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '.' && path[i] != '[' {
			continue
		}
		if next, ok := s.byEdge[edge{at, path[:i]}]; ok {
			return next, i
		}
	}
	return root, 0
}

// node converts one node. at is the index of the mark of its field, or root.
func (s *scanner) node(n *yaml.Node, at, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("has more than %d levels", maxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return s.node(n.Content[0], at, depth)
	case yaml.AliasNode:
		return s.node(n.Alias, at, depth+1)
	case yaml.MappingNode:
		return s.mapping(n, at, depth)
	case yaml.SequenceNode:
		return s.sequence(n, at, depth)
	}
	text, err := scalar(n)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path(at), err)
	}
	return s.write(text)
}

func (s *scanner) mapping(n *yaml.Node, parent, depth int) error {
	if name, unknown := unknownType(n); unknown {
		s.unknown = append(s.unknown, Fault{n.Line, s.path(parent), fmt.Sprintf("was not checked: this program does not know the type %q", name)})
		return s.write(emptyAny)
	}
	separator := "{"
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if s.skip[value] {
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("has a key that is no text, in line %d", key.Line)
		}
		if err := s.write(separator); err != nil {
			return err
		}
		at, err := s.mark(parent, snake(key.Value), key.Line, value)
		if err != nil {
			return err
		}
		if err := s.write(quoted(key.Value) + ":"); err != nil {
			return err
		}
		if err := s.node(value, at, depth+1); err != nil {
			return err
		}
		separator = ","
	}
	if separator == "{" {
		return s.write("{}")
	}
	return s.write("}")
}

func (s *scanner) sequence(n *yaml.Node, parent, depth int) error {
	separator := "["
	for i, value := range n.Content {
		if s.skip[value] {
			continue
		}
		if err := s.write(separator); err != nil {
			return err
		}
		at, err := s.mark(parent, "["+strconv.Itoa(i)+"]", value.Line, value)
		if err != nil {
			return err
		}
		if err := s.node(value, at, depth+1); err != nil {
			return err
		}
		separator = ","
	}
	if separator == "[" {
		return s.write("[]")
	}
	return s.write("]")
}

// unknownType returns the type of a mapping that is a message of the type Any, if this program does
// not know it.
func unknownType(n *yaml.Node) (name string, unknown bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if value := n.Content[i+1]; n.Content[i].Value == "@type" && value.Kind == yaml.ScalarNode {
			_, err := protoregistry.GlobalTypes.FindMessageByURL(value.Value)
			return value.Value, errors.Is(err, protoregistry.NotFound)
		}
	}
	return "", false
}

// scalar converts a text, a number, a boolean or null.
func scalar(n *yaml.Node) (string, error) {
	switch n.ShortTag() {
	case "!!null":
		return "null", nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return strconv.FormatBool(b), err
	case "!!int":
		return integer(n)
	case "!!float":
		return float(n)
	}
	if b, is := envoyBoolean(n); is {
		return strconv.FormatBool(b), nil
	}
	return quoted(n.Value), nil
}

func integer(n *yaml.Node) (string, error) {
	var i int64
	if err := n.Decode(&i); err == nil {
		return strconv.FormatInt(i, 10), nil
	}
	var u uint64
	err := n.Decode(&u)
	return strconv.FormatUint(u, 10), err
}

func float(n *yaml.Node) (string, error) {
	var f float64
	if err := n.Decode(&f); err != nil {
		return "", err
	}
	switch {
	case math.IsNaN(f):
		return `"NaN"`, nil
	case math.IsInf(f, 1):
		return `"Infinity"`, nil
	case math.IsInf(f, -1):
		return `"-Infinity"`, nil
	}
	return strconv.FormatFloat(f, 'g', -1, 64), nil
}

// envoyBoolean reports whether Envoy reads a text as a boolean. The YAML library of Envoy takes more
// words as booleans than the library of this program.
func envoyBoolean(n *yaml.Node) (value, is bool) {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return false, false
	}
	return booleanWord(n.Value)
}

func booleanWord(text string) (value, is bool) {
	switch strings.ToLower(text) {
	case "y", "yes", "on", "true":
		return true, true
	case "n", "no", "off", "false":
		return false, true
	}
	return false, false
}

// quoted returns a text as a JSON string, which is also a YAML string.
func quoted(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string can always be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// snake converts the name of a field to the form in .proto files: connectTimeout and ConnectTimeout
// become connect_timeout. A name with dots, such as that of an extension, stays as it is.
func snake(name string) string {
	if strings.ContainsAny(name, "./@") {
		return name
	}
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
