package envoyconfig

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"

	bootstrappb "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	// MaxText is the largest size of a bootstrap that Parse reads, in bytes.
	MaxText = 4 << 20
	// maxFaults is the largest number of fields that are reported because they cannot be parsed.
	maxFaults = 20
)

// Document is a bootstrap that was read, with the lines of its fields.
type Document struct {
	Bootstrap *bootstrappb.Bootstrap
	// Unknown has a fault for each message whose type this program does not know. Such a message is
	// not in Bootstrap.
	Unknown []Fault
	scanner *scanner
}

// Parse reads a bootstrap in YAML or JSON. Like Envoy, it refuses unknown fields, and values that are
// not valid. If there are faults, the Document is nil.
func Parse(text []byte) (*Document, []Fault) {
	if len(text) > MaxText {
		return nil, []Fault{{0, "", fmt.Sprintf("has %d bytes; allowed: at most %d", len(text), MaxText)}}
	}
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, []Fault{syntaxFault(err)}
	}
	if file.Kind == 0 || file.Content[0].Kind != yaml.MappingNode {
		return nil, []Fault{{0, "", "is no mapping; allowed: a bootstrap of Envoy"}}
	}
	if isForGRPC(file.Content[0]) {
		return nil, []Fault{{file.Content[0].Line, "xds_servers", "belongs to a bootstrap of gRPC; allowed: a bootstrap of Envoy"}}
	}
	return parse(&file)
}

// parse parses the document. After a field that cannot be parsed, it goes on without that field, so
// that one call finds all of them.
func parse(file *yaml.Node) (*Document, []Fault) {
	var faults []Fault
	skip := map[*yaml.Node]bool{}
	for {
		s := &scanner{skip: skip, byEdge: map[edge]int{}}
		if err := s.node(file, root, 0); err != nil {
			return nil, append(faults, Fault{0, "", err.Error()})
		}
		d := &Document{Bootstrap: &bootstrappb.Bootstrap{}, Unknown: s.unknown, scanner: s}
		err := protojson.Unmarshal(s.out.Bytes(), d.Bootstrap)
		if err == nil {
			if len(faults) == 0 {
				validate(d.Bootstrap, func(path, reason string) { faults = append(faults, d.fault(path, "%s", reason)) })
			}
			if len(faults) > 0 {
				return nil, faults
			}
			return d, nil
		}
		fault, value := s.blame(err)
		if faults = append(faults, fault); value == nil || skip[value] || len(faults) == maxFaults {
			return nil, faults
		}
		skip[value] = true
	}
}

// isForGRPC reports whether the document is a bootstrap of gRPC.
func isForGRPC(n *yaml.Node) bool {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == "xds_servers" {
			return true
		}
	}
	return false
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

func syntaxFault(err error) Fault {
	text := err.Error()
	if several, ok := errors.AsType[*yaml.TypeError](err); ok && len(several.Errors) > 0 {
		text = several.Errors[0]
	}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1]) // the pattern allows digits only
		return Fault{line, "", m[2]}
	}
	return Fault{0, "", strings.TrimPrefix(text, "yaml: ")}
}

// jsonColumn matches the errors of protojson. The space after "proto:" may be a no-break space.
var jsonColumn = regexp.MustCompile(`^(?:proto:[\s\x{a0}]+)?(?:syntax error )?\(line 1:(\d+)\): (.*)$`)

// blame finds the field that an error of protojson is about. value is nil if there is none.
func (s *scanner) blame(err error) (f Fault, value *yaml.Node) {
	m := jsonColumn.FindStringSubmatch(err.Error())
	if m == nil {
		return Fault{0, "", strings.TrimPrefix(err.Error(), "proto: ")}, nil
	}
	column, _ := strconv.Atoi(m[1]) // the pattern allows digits only
	f.Text = m[2]
	after := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].offset > column-1 })
	if after == 0 {
		return f, nil
	}
	k := &s.marks[after-1]
	f.Line, f.Path = k.line, s.path(after-1)
	return f, k.value
}

// fault returns a fault with the line of its field. If the field is missing, the line is that of the
// nearest field around it.
func (d *Document) fault(path, format string, args ...any) Fault {
	return Fault{d.scanner.line(path), path, fmt.Sprintf(format, args...)}
}

// YAML returns a message as YAML, with the field names of its .proto file.
func YAML(m proto.Message) (string, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return "", err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return "", err
	}
	plainStyle(&document)
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&document); err != nil {
		return "", err
	}
	return b.String(), nil
}

// plainStyle removes the flow style and the quotes that come from JSON. The encoder adds quotes where
// they are needed.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	if _, is := booleanWord(n.Value); is && n.ShortTag() == "!!str" {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range n.Content {
		plainStyle(child)
	}
}
