package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/follow"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxCount is the largest value that a limit in the configuration file may have.
const maxCount = 1_000_000

// read reads the text of a configuration file. Relative paths in the text are relative to dir.
// read opens no file.
func read(p *input.Problems, text []byte, dir string) *Settings {
	s := &Settings{}
	c := &s.Coordinator
	s.empty = !input.YAML(p, text, input.Object(input.Fields{
		"listen":        input.Text(&c.Listen, wire.CheckListen),
		"http":          input.Text(&c.HTTP, CheckHTTP),
		"http_tls":      input.Choice(func(word string) { s.HTTPTLS = word }, On, coordinator.Off),
		"http_hosts":    readHosts(&c.HTTPHosts),
		"web_prefix":    input.Text(&c.WebPrefix, wire.CheckWebPrefix),
		"web":           input.Choice(func(word string) { c.Web = word }, coordinator.Off),
		"data_dir":      s.readDataDir(dir),
		"insecure_open": input.Boolean(&c.InsecureOpen),
		"access_policy": input.Path(&s.AccessPolicy, dir),
		"socket":        readSocket(&c.Socket, dir),
		"tls":           s.readTLS(dir),
		"dial":          s.Dial.read(dir),
		"targets":       input.Object(input.Fields{"allow": readNetworks(&c.Allow)}),
		"services":      s.readTargets(),
		"policy":        readPolicy(&c.Policy),
		"store_trust":   input.Duration(&c.StoreTrust, time.Second, false),
		"poll_every":    input.Duration(&c.PollEvery, follow.LeastPollEvery, false),
		"target_budget": input.Choice(func(word string) { c.TargetBudget = word }, coordinator.Off),
		"retry":         readRetry(&c.Retry),
		"limits":        readLimits(c),
		"metrics":       input.Object(input.Fields{"max_instances": input.Count(&c.MetricInstances, maxCount, true)}),
		"xds": input.Object(input.Fields{
			"roots":    input.Text(&c.XDSCertificates.Roots, input.CheckLength(wire.MaxName)),
			"identity": input.Text(&c.XDSCertificates.Identity, input.CheckLength(wire.MaxName)),
		}),
		"log": input.Object(input.Fields{
			"format": input.Choice(func(word string) { s.Log.Format = word }, LogFormats()...),
			"level":  input.Choice(func(word string) { s.Log.Level = word }, LogLevels()...),
		}),
	}))
	return s
}

// readHosts reads a list of host names.
func readHosts(dst *[]string) input.Reader {
	return input.AtMost(wire.MaxHTTPHosts, "names", input.List(func(int) input.Reader {
		return func(p *input.Problems, path string, n *yaml.Node) {
			var name string
			input.Text(&name, wire.CheckHTTPHost)(p, path, n)
			*dst = append(*dst, name)
		}
	}))
}

// readDataDir reads the path of a folder, or the word "off".
func (s *Settings) readDataDir(dir string) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		s.dataDirLine = n.Line
		dst := &s.Coordinator.DataDir
		if n.Value == coordinator.Off {
			*dst = coordinator.Off
			return
		}
		before := p.Count()
		if input.Path(dst, dir)(p, path, n); p.Count() > before {
			*dst = "" // checkFiles must not check a path that already has a fault
		}
	}
}

// readSocket reads the path of a unix socket, or the word "off".
func readSocket(dst *string, dir string) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		if n.Value == coordinator.Off {
			*dst = coordinator.Off
			return
		}
		input.Path(dst, dir)(p, path, n)
	}
}

// readTLS reads the section with the certificates of the listener.
func (s *Settings) readTLS(dir string) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		t, before := &TLS{place: place{n.Line, path}}, p.Count()
		input.Object(input.Fields{
			"cert": input.Path(&t.Cert, dir), "key": input.Path(&t.Key, dir), "client_ca": input.Path(&t.CA, dir),
		})(p, path, n)
		switch {
		case t.Cert == "" && !input.IsNull(n):
			p.Add(n.Line, path, "has no cert; allowed: cert and key, client_ca if you like")
		case t.Cert != "" && p.Count() == before: // a section with faults is omitted, so that checkFiles does not read its files
			s.TLS = t
		}
	}
}

func (d *Dial) read(dir string) input.Reader {
	return input.Object(input.Fields{
		"default": readDial(&d.Default, dir),
		"services": input.ByName(wire.CheckService, func(name string) input.Reader {
			return func(p *input.Problems, path string, n *yaml.Node) {
				var t *TLS
				readDial(&t, dir)(p, path, n)
				d.Services = with(d.Services, name, t)
			}
		}),
	})
}

// readDial reads how the coordinator connects to instances: the word "plaintext", or a mapping with
// the key "tls".
func readDial(dst **TLS, dir string) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Value == "plaintext" {
			return
		}
		if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
			p.Add(n.Line, path, "is %s; allowed: plaintext, or tls: {ca, cert, key, server_name, min_version}", input.Describe(n))
			return
		}
		input.Object(input.Fields{"tls": readDialTLS(dst, dir)})(p, path, n)
	}
}

func readDialTLS(dst **TLS, dir string) input.Reader {
	return func(p *input.Problems, path string, n *yaml.Node) {
		t, before := &TLS{place: place{n.Line, path}}, p.Count()
		input.Object(input.Fields{
			"ca": input.Path(&t.CA, dir), "cert": input.Path(&t.Cert, dir), "key": input.Path(&t.Key, dir),
			"server_name": input.Text(&t.ServerName, input.CheckLength(wire.MaxServerName)),
			"min_version": input.Choice(func(word string) { t.TLS12 = word == "1.2" }, "1.2", "1.3"),
		})(p, path, n)
		if p.Count() == before { // a section with faults is omitted, so that checkFiles does not read its files
			*dst = t
		}
	}
}

// readNetworks reads a list of networks.
func readNetworks(dst *[]netip.Prefix) input.Reader {
	return input.List(func(int) input.Reader {
		return func(p *input.Problems, path string, n *yaml.Node) {
			var one netip.Prefix
			readNetwork(&one)(p, path, n)
			*dst = append(*dst, one)
		}
	})
}

// readNetwork reads a network in CIDR notation.
func readNetwork(dst *netip.Prefix) input.Reader {
	return input.Scalar("a network such as 10.0.0.0/8 or fd00::/8", func(text string, _ *yaml.Node) error {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%q is no network", text)
		}
		if prefix != prefix.Masked() {
			return fmt.Errorf("%q has bits set beyond its length: did you mean %s?", text, prefix.Masked())
		}
		*dst = prefix
		return nil
	})
}

// readTargets reads the section "services", which is a list of instances to register.
func (s *Settings) readTargets() input.Reader {
	firstLines := map[health.ID]int{} // line in the file at which each instance occurs first
	targets := input.List(func(int) input.Reader {
		return func(p *input.Problems, path string, n *yaml.Node) {
			t, before := coordinator.Target{}, p.Count()
			if input.Object(targetFields(&t))(p, path, n); p.Count() > before {
				return
			}
			if err := checkTarget(&t, firstLines, n.Line); err != nil {
				p.Add(n.Line, path, "%v", err)
			}
			s.Coordinator.Static = append(s.Coordinator.Static, t)
		}
	})
	return func(p *input.Problems, path string, n *yaml.Node) {
		s.NoTargets = n.Kind == yaml.SequenceNode && len(n.Content) == 0
		targets(p, path, n)
	}
}

func targetFields(t *coordinator.Target) input.Fields {
	return input.Fields{
		"service":     input.Text(&t.Service, wire.CheckService),
		"instance":    input.Text(&t.Instance, wire.CheckInstance),
		"address":     input.Text(&t.Address, wire.CheckHostAddress),
		"health_name": input.Text(&t.HealthName, wire.CheckHealthName),
		"zone":        input.Text(&t.Zone, wire.CheckZone),
		"version":     input.Text(&t.Version, input.CheckLength(wire.MaxVersion)),
		"server_name": input.Text(&t.ServerName, input.CheckLength(wire.MaxServerName)),
		"labels":      input.Labels(&t.Labels),
		"region":      input.Text(&t.Region, wire.CheckZone),
		"traffic":     input.Traffic(&t.Traffic.Address, &t.Traffic.Weight, &t.Traffic.TLSNames),
	}
}

// checkTarget returns an error if t lacks a required key, or if firstLines already contains the
// instance. Otherwise it adds the instance and its line to firstLines.
func checkTarget(t *coordinator.Target, firstLines map[health.ID]int, line int) error {
	var missing []string
	for _, f := range []struct{ name, value string }{
		{"service", t.Service}, {"instance", t.Instance}, {"address", t.Address},
	} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return errors.New("has no " + strings.Join(missing, ", no ") + "; each has service, instance and address")
	}
	if err := wire.CheckTrafficAddress(t.Traffic.Address, t.Address); err != nil {
		return fmt.Errorf("traffic.address: %w", err)
	}
	id := health.ID{Service: t.Service, Instance: t.Instance}
	if before, twice := firstLines[id]; twice {
		return fmt.Errorf("%s is there twice; first in line %d", id, before)
	}
	firstLines[id] = line
	return nil
}

func readLimits(c *coordinator.Config) input.Reader {
	return input.Object(input.Fields{
		"max_instances":            input.Count(&c.MaxInstances, maxCount, false),
		"max_watchers":             input.Count(&c.MaxWatchers, maxCount, false),
		"max_watchers_per_peer":    input.Count(&c.MaxWatchersPerPeer, maxCount, false),
		"max_connections_per_peer": input.Count(&c.MaxConnsPerPeer, maxCount, false),
		"ipv6_prefix":              input.Count(&c.IPv6Prefix, 128, false),
	})
}
