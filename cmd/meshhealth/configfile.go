package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/watch"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// parseConfig reads the text of a file that lies in dir. It opens nothing.
func parseConfig(p *problems, content []byte, dir string) *settings {
	s := &settings{}
	readYAML(p, content, object(fields{
		"listen":      text(&s.listen, wire.CheckListen),
		"http":        text(&s.http, orOff(wire.CheckListen)),
		"data_dir":    s.readDataDir(dir),
		"insecure":    boolean(&s.insecure),
		"tls":         s.readTLS(dir),
		"dial":        s.dial.read(dir),
		"targets":     object(fields{"allow": s.readAllow()}),
		"services":    s.readServices(),
		"policy":      readPolicy(&s.policy),
		"store_trust": duration(&s.storeTrust, time.Second, false),
		"poll_every":  duration(&s.pollEvery, watch.LeastPollEvery, false),
		"retry":       readRetry(&s.retry),
		"limits":      s.limits.read(),
		"metrics":     object(fields{"max_instances": count(&s.metrics, 1_000_000, true)}),
		"log": object(fields{
			"format": choice(func(w string) { s.log.format = w }, logFormats...),
			"level":  choice(func(w string) { s.log.level = w }, logLevels...),
		}),
	}))
	return s
}

func orOff(check func(string) error) func(string) error {
	return func(text string) error {
		if text == off {
			return nil
		}
		return check(text)
	}
}

// readDataDir reads a folder, or off.
func (s *settings) readDataDir(dir string) reader {
	return func(p *problems, path string, n *yaml.Node) {
		s.dataDirLine = n.Line
		if n.Value == off {
			s.dataDir = off
			return
		}
		file(&s.dataDir, dir)(p, path, n)
	}
}

func (s *settings) readTLS(dir string) reader {
	return func(p *problems, path string, n *yaml.Node) {
		t := &tlsSetting{line: n.Line, path: path}
		object(fields{
			"cert": file(&t.Cert, dir), "key": file(&t.Key, dir), "client_ca": file(&t.CA, dir),
		})(p, path, n)
		if t.Cert == "" && !isNull(n) {
			p.add(n.Line, path, "has no cert; allowed: cert and key, client_ca if you like")
		}
		if t.Cert != "" {
			s.tls = t
		}
	}
}

func (d *dialSettings) read(dir string) reader {
	return object(fields{
		"default": readDial(&d.standard, dir),
		"services": byName(wire.CheckService, func(name string) reader {
			return func(p *problems, path string, n *yaml.Node) {
				var t *tlsSetting
				readDial(&t, dir)(p, path, n)
				d.services = with(d.services, name, t)
			}
		}),
	})
}

// readDial reads `plaintext`, or a mapping with tls in it.
func readDial(dst **tlsSetting, dir string) reader {
	return func(p *problems, path string, n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Value == "plaintext" {
			return
		}
		if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
			p.add(n.Line, path, "is %s; allowed: plaintext, or tls: {ca, cert, key, server_name}", describe(n))
			return
		}
		object(fields{"tls": func(p *problems, path string, n *yaml.Node) {
			t := &tlsSetting{line: n.Line, path: path}
			object(fields{
				"ca": file(&t.CA, dir), "cert": file(&t.Cert, dir), "key": file(&t.Key, dir),
				"server_name": text(&t.ServerName, atMost(wire.MaxServerName)),
			})(p, path, n)
			*dst = t
		}})(p, path, n)
	}
}

func (s *settings) readAllow() reader {
	return list(func(int) reader {
		return func(p *problems, path string, n *yaml.Node) {
			var one netip.Prefix
			network(&one)(p, path, n)
			s.allow = append(s.allow, one)
		}
	})
}

func (s *settings) readServices() reader {
	first := map[health.ID]int{}
	return list(func(int) reader {
		return func(p *problems, path string, n *yaml.Node) {
			t := coordinator.Target{}
			before := len(p.list)
			readTarget(&t)(p, path, n)
			if len(p.list) > before {
				return
			}
			id := health.ID{Service: t.Service, Instance: t.Instance}
			if missing := missing(&t); missing != "" {
				p.add(n.Line, path, "has no %s; each has service, instance and address", missing)
			} else if line, twice := first[id]; twice {
				p.add(n.Line, path, "%s is there twice; first in line %d", id, line)
			} else {
				first[id] = n.Line
			}
			s.targets = append(s.targets, t)
		}
	})
}

// missing names what a target cannot be without.
func missing(t *coordinator.Target) string {
	var names []string
	for _, f := range []struct{ name, value string }{
		{"service", t.Service}, {"instance", t.Instance}, {"address", t.Address},
	} {
		if f.value == "" {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", no ")
}

func readTarget(t *coordinator.Target) reader {
	return object(fields{
		"service":     text(&t.Service, wire.CheckService),
		"instance":    text(&t.Instance, wire.CheckInstance),
		"address":     text(&t.Address, checkTargetAddress),
		"health_name": text(&t.HealthName, wire.CheckHealthName),
		"zone":        text(&t.Zone, wire.CheckZone),
		"version":     text(&t.Version, atMost(wire.MaxVersion)),
		"server_name": text(&t.ServerName, atMost(wire.MaxServerName)),
		"labels": byName(anyText, func(name string) reader {
			return func(p *problems, path string, n *yaml.Node) {
				var value string
				text(&value, func(v string) error { return wire.CheckLabels(map[string]string{name: v}) })(p, path, n)
				t.Labels = with(t.Labels, name, value)
			}
		}),
	})
}

// checkTargetAddress wants a host: nobody calls us here, so that `:port` would
// mean nothing.
func checkTargetAddress(address string) error {
	if len(address) > 0 && address[0] == ':' {
		return fmt.Errorf("%q has no host; allowed: HOST:PORT", address)
	}
	return wire.CheckAddress(address)
}

func (l *limits) read() reader {
	const most = 1_000_000
	return object(fields{
		"max_instances":            count(&l.instances, most, false),
		"max_watchers":             count(&l.watchers, most, false),
		"max_watchers_per_peer":    count(&l.watchersPerPeer, most, false),
		"max_connections_per_peer": count(&l.connsPerPeer, most, false),
	})
}

func atMost(limit int) func(string) error {
	return func(text string) error {
		if len(text) > limit {
			return fmt.Errorf("has %d bytes; allowed: at most %d", len(text), limit)
		}
		return nil
	}
}

// with puts a key into a map that may not be there yet.
func with[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}

// config returns what a coordinator is made of, but for credentials and
// logger.
func (s *settings) config() coordinator.Config {
	cfg := coordinator.Config{
		Listen: s.listen, HTTP: s.http, Insecure: s.insecure,
		DataDir: or(s.dataDir, defaultDataDir),
		Allow:   s.allow, Static: s.targets, Policy: s.policy, StoreTrust: s.storeTrust,
		PollEvery: s.pollEvery, Retry: s.retry,
		MaxInstances: s.limits.instances, MaxWatchers: s.limits.watchers,
		MaxWatchersPerPeer: s.limits.watchersPerPeer, MaxConnsPerPeer: s.limits.connsPerPeer,
		MetricInstances: s.metrics, Build: buildVersion(),
	}
	if s.memory() {
		cfg.DataDir = ""
	}
	return cfg
}
