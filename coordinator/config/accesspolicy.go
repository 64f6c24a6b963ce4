package config

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/input"
)

// accessVersion is the only version of the format of an access policy.
const accessVersion = "1"

// LoadAccessPolicy reads and checks the file of an access policy, which has at most 16 MiB. The errors have
// the same form as those of [Load].
func LoadAccessPolicy(ctx context.Context, name string) (*coordinator.AccessPolicy, error) {
	r, err := loadAccess(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.policy, nil
}

// CheckAccessPolicy does the same as LoadAccessPolicy. It also returns what is allowed and probably not meant: one
// text for each warning, in the form of a fault.
func CheckAccessPolicy(ctx context.Context, name string) (policy *coordinator.AccessPolicy, warnings []string, err error) {
	r, err := loadAccess(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	p := &input.Problems{File: name}
	for _, w := range r.policy.Warnings() {
		p.Add(r.lineOf(w.Field), w.Field, "%s", w.Text)
	}
	if p.Err() != nil {
		warnings = strings.Split(p.Error(), "\n")
	}
	return r.policy, warnings, nil
}

func loadAccess(ctx context.Context, name string) (*accessReader, error) {
	if err := input.CheckPath(name); err != nil {
		return nil, err
	}
	text, err := input.Read(ctx, input.MaxFile, func() (io.ReadCloser, error) { return os.Open(name) })
	if errors.Is(err, input.ErrTooLarge) {
		p := &input.Problems{File: name}
		p.Add(0, "", "%v", err)
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	return parseAccess(name, text)
}

// ParseAccessPolicy reads and checks the text of an access policy. Errors show name as the name of the file.
func ParseAccessPolicy(name string, text []byte) (*coordinator.AccessPolicy, error) {
	r, err := parseAccess(name, text)
	return r.policy, err
}

func parseAccess(name string, text []byte) (*accessReader, error) {
	p := &input.Problems{File: name}
	r := &accessReader{policy: &access.Policy{}, values: map[*yaml.Node]map[string]*yaml.Node{}}
	if !input.YAML(p, text, r.read) {
		p.Add(0, "", "is empty; allowed: an access policy with version and rules")
	}
	r.check(p)
	return r, p.Err()
}

// accessReader reads an access policy.
type accessReader struct {
	policy  *access.Policy
	version string
	root    *yaml.Node
	// values has the values of those mappings that lineOf has read, by key.
	values map[*yaml.Node]map[string]*yaml.Node
}

func (r *accessReader) read(p *input.Problems, path string, n *yaml.Node) {
	r.root = n
	a := r.policy
	input.Object(input.Fields{
		"version":         input.Choice(func(word string) { r.version = word }, accessVersion),
		"trust_domain":    input.Text(&a.TrustDomain, input.AnyText),
		"allow_dns_names": input.Boolean(&a.AllowDNSNames),
		"tokens":          r.readTokens(),
		"rules":           r.readRules(),
	})(p, path, n)
	if r.version == "" && p.Count() == 0 {
		p.Add(n.Line, "version", "is missing; allowed: %s", accessVersion)
	}
}

// check adds the faults of the policy as a whole, with their lines. Rules that already have a fault get no other
// one, because it may come from the first. The same holds for all rules if there is a fault outside of them.
func (r *accessReader) check(p *input.Problems) {
	faulty := map[string]bool{}
	for _, one := range p.List {
		rule, in := ruleOf(one.Path)
		if !in {
			return
		}
		faulty[rule] = true
	}
	_, err := access.Compile(r.policy)
	if err == nil {
		return
	}
	for _, fault := range fields.Flatten(err) {
		e, ok := errors.AsType[*fields.Error](fault)
		if !ok {
			p.Add(0, "", "%v", fault)
			continue
		}
		if rule, in := ruleOf(e.Field); !in || !faulty[rule] {
			p.Add(r.lineOf(e.Field), e.Field, "%v", e.Err)
		}
	}
}

// ruleOf returns the path of the rule in which a path is, such as rules[2]. in is false if it is in none.
func ruleOf(path string) (rule string, in bool) {
	end := strings.IndexByte(path, ']')
	if !strings.HasPrefix(path, "rules[") || end < 0 {
		return "", false
	}
	return path[:end+1], true
}

// lineOf returns the line of a path. If the file has no such value, it is the line of the value around it.
//
// The lines of all paths are not kept, because the paths of a file with deep or many values need thousands of
// times its size.
func (r *accessReader) lineOf(path string) (line int) {
	for n := r.root; n != nil; n, path = r.child(n, path) {
		line = n.Line
	}
	return line
}

// child returns the value in n to which a path leads first, and the rest of the path. It returns nil if n has no
// such value.
func (r *accessReader) child(n *yaml.Node, path string) (value *yaml.Node, rest string) {
	if n.Kind == yaml.SequenceNode {
		index, rest, _ := strings.Cut(strings.TrimPrefix(path, "["), "]")
		if i, err := strconv.Atoi(index); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], strings.TrimPrefix(rest, ".")
		}
		return nil, ""
	}
	if n.Kind != yaml.MappingNode || path == "" {
		return nil, ""
	}
	byKey := r.values[n]
	if byKey == nil {
		byKey = map[string]*yaml.Node{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			byKey[n.Content[i].Value] = n.Content[i+1]
		}
		r.values[n] = byKey
	}
	if value := byKey[path]; value != nil { // the name of a token may have dots and brackets in it
		return value, ""
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return nil, ""
	}
	return byKey[path[:end]], strings.TrimPrefix(path[end:], ".")
}

func (r *accessReader) readTokens() input.Reader {
	return input.ByName(input.AnyText, func(name string) input.Reader {
		return input.AtMost(access.MaxPatterns, "values", input.List(func(int) input.Reader {
			return input.Scalar("sha256: and the SHA-256 of the token in 64 hexadecimal digits", func(text string, _ *yaml.Node) error {
				digits, is := strings.CutPrefix(text, "sha256:")
				sum, err := hex.DecodeString(digits)
				if !is || err != nil || len(sum) != len(access.TokenHash{}) {
					return errors.New("is no hash of a token") // the text may be the token itself
				}
				r.policy.Tokens = with(r.policy.Tokens, name, append(r.policy.Tokens[name], access.TokenHash(sum)))
				return nil
			})
		}))
	})
}

func (r *accessReader) readRules() input.Reader {
	return input.AtMost(access.MaxRules, "rules", input.List(func(int) input.Reader {
		return func(p *input.Problems, path string, n *yaml.Node) {
			var rule access.Rule
			input.Object(input.Fields{
				"name":     input.Text(&rule.Name, input.AnyText),
				"who":      readTexts(&rule.Who),
				"register": readRegister(&rule.Register),
				"report":   readServices(&rule.Report),
				"read":     readRead(&rule.Read),
				"route":    readServices(&rule.Route),
				"override": readOverride(&rule.Override),
				"admin":    input.Boolean(&rule.Admin),
			})(p, path, n)
			r.policy.Rules = append(r.policy.Rules, rule)
		}
	}))
}

func readTexts(dst *[]string) input.Reader {
	return input.AtMost(access.MaxPatterns, "entries", input.List(func(int) input.Reader {
		return func(p *input.Problems, path string, n *yaml.Node) {
			var text string
			input.Text(&text, input.AnyText)(p, path, n)
			*dst = append(*dst, text)
		}
	}))
}

func readServices(dst **access.Services) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		*dst = &access.Services{}
		input.Object(input.Fields{"services": readTexts(&(*dst).Services)})(p, path, n)
	}
}

func readRead(dst **access.Read) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		*dst = &access.Read{Detail: access.Status}
		words := make([]string, 0, len(access.Details()))
		for _, d := range access.Details() {
			words = append(words, d.String())
		}
		input.Object(input.Fields{
			"services": readTexts(&(*dst).Services),
			"detail": input.Choice(func(word string) {
				for _, d := range access.Details() {
					if d.String() == word {
						(*dst).Detail = d
					}
				}
			}, words...),
		})(p, path, n)
	}
}

func readOverride(dst **access.Override) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		*dst = &access.Override{}
		input.Object(input.Fields{
			"services": readTexts(&(*dst).Services), "max": input.Duration(&(*dst).Longest, time.Second, false),
		})(p, path, n)
	}
}

func readRegister(dst **access.Register) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		r := &access.Register{}
		*dst = r
		given := false
		addresses := input.AtMost(access.MaxPatterns, "entries", input.List(func(int) input.Reader {
			return func(p *input.Problems, path string, n *yaml.Node) {
				if n.Value == "peer" {
					r.Peer = true
					return
				}
				var one netip.Prefix
				readNetwork(&one)(p, path, n)
				r.Addresses = append(r.Addresses, one)
			}
		}))
		input.Object(input.Fields{
			"services": readTexts(&r.Services),
			"addresses": func(p *input.Problems, path string, n *yaml.Node) {
				given = true
				addresses(p, path, n)
			},
			"proven_addresses": input.AtMost(access.MaxPatterns, "networks", readNetworks(&r.ProvenAddresses)),
			"ports":            input.AtMost(access.MaxPatterns, "ranges", input.List(func(int) input.Reader { return readPorts(&r.Ports) })),
			"instances":        input.Count(&r.Instances, access.MaxInstances, false),
		})(p, path, n)
		if !given {
			r.Peer = true
		}
	}
}

// readPorts reads a port or a range of ports, such as 7000-7999.
func readPorts(dst *[]access.Ports) input.Reader {
	return input.Scalar("a port such as 443, or ports such as 7000-7999", func(text string, _ *yaml.Node) error {
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("%q is no port", text)
		}
		*dst = append(*dst, access.Ports{First: uint16(from), Last: uint16(to)})
		return nil
	})
}
