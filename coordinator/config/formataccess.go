package config

import (
	"bytes"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/input"
)

// FormatAccessPolicy returns a file from which [ParseAccessPolicy] reads a policy that decides as p does. comment
// stands above the policy, and about returns what stands above the rule with an index. A comment has no # of its
// own, and may have several lines or none. The policy is not checked.
func FormatAccessPolicy(p *coordinator.AccessPolicy, comment string, about func(rule int) string) ([]byte, error) {
	top := mapping()
	top.add("version", plain("!!int", accessVersion))
	if p.TrustDomain != "" {
		top.add("trust_domain", text(p.TrustDomain))
	}
	if p.AllowDNSNames {
		top.add("allow_dns_names", plain("!!bool", "true"))
	}
	if len(p.Tokens) > 0 {
		tokens := mapping()
		for _, name := range slices.Sorted(maps.Keys(p.Tokens)) {
			tokens.add(name, inline(list(p.Tokens[name], func(h access.TokenHash) *yaml.Node { return text("sha256:" + hex.EncodeToString(h[:])) })))
		}
		top.add("tokens", tokens.Node)
	}
	rules := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range p.Rules {
		one := formatRule(&p.Rules[i])
		one.HeadComment = about(i)
		rules.Content = append(rules.Content, one)
	}
	top.add("rules", rules)
	top.Content[0].HeadComment = comment
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(top.Node); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

func formatRule(r *access.Rule) *yaml.Node {
	m := mapping()
	m.add("name", text(r.Name))
	m.add("who", texts(r.Who))
	if g := r.Register; g != nil {
		m.add("register", formatRegister(g))
	}
	if g := r.Report; g != nil {
		m.add("report", services(g.Services).inline())
	}
	if g := r.Read; g != nil {
		m.add("read", services(g.Services).add("detail", text(max(access.Status, g.Detail).String())).inline())
	}
	if g := r.Route; g != nil {
		m.add("route", services(g.Services).inline())
	}
	if g := r.Override; g != nil {
		s := services(g.Services)
		if g.Longest != 0 {
			s.add("max", text(input.FormatDuration(g.Longest)))
		}
		m.add("override", s.inline())
	}
	if r.Admin {
		m.add("admin", plain("!!bool", "true"))
	}
	return m.Node
}

func formatRegister(g *access.Register) *yaml.Node {
	m := services(g.Services)
	var addresses []string
	if g.Peer {
		addresses = append(addresses, "peer")
	}
	for _, n := range g.Addresses {
		addresses = append(addresses, n.String())
	}
	m.add("addresses", texts(addresses))
	if len(g.ProvenAddresses) > 0 {
		m.add("proven_addresses", inline(list(g.ProvenAddresses, func(n netip.Prefix) *yaml.Node { return text(n.String()) })))
	}
	if len(g.Ports) > 0 {
		m.add("ports", inline(list(g.Ports, func(p access.Ports) *yaml.Node {
			first, last := strconv.Itoa(int(p.First)), strconv.Itoa(int(p.Last))
			if first == last {
				return plain("!!int", first)
			}
			return text(first + "-" + last)
		})))
	}
	if g.Instances != 0 {
		m.add("instances", plain("!!int", strconv.Itoa(g.Instances)))
	}
	return m.inline()
}

// object is a mapping.
type object struct{ *yaml.Node }

func mapping() object { return object{&yaml.Node{Kind: yaml.MappingNode}} }

func services(patterns []string) object { return mapping().add("services", texts(patterns)) }

func (o object) add(key string, value *yaml.Node) object {
	o.Content = append(o.Content, text(key), value)
	return o
}

func (o object) inline() *yaml.Node { return inline(o.Node) }

// maxInline is the largest number of values in a collection that is written on one line.
const maxInline = 12

// inline makes a mapping or a list stand on one line, if it is short.
func inline(n *yaml.Node) *yaml.Node {
	size := len(n.Content)
	for _, v := range n.Content {
		size += len(v.Content)
	}
	if size <= maxInline {
		n.Style = yaml.FlowStyle
	}
	return n
}

func list[T any](all []T, of func(T) *yaml.Node) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for _, one := range all {
		n.Content = append(n.Content, of(one))
	}
	return n
}

func texts(all []string) *yaml.Node { return inline(list(all, text)) }

// text returns a text. The encoder puts it in quotes if YAML would read something else.
func text(value string) *yaml.Node { return plain("!!str", value) }

func plain(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}
