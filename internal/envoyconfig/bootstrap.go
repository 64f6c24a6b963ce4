package envoyconfig

import (
	_ "embed"
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"text/template"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// CoordinatorCluster is the name of the cluster of the coordinator in a bootstrap that this package
// writes.
const CoordinatorCluster = "meshhealth_coordinator"

// Bootstrap says what the bootstrap of an Envoy or of a gRPC client must contain.
type Bootstrap struct {
	// Node and Cluster say which client this is. The coordinator lists its clients by Node.
	Node, Cluster string
	// Coordinator is the HOST:PORT of the gRPC listener of the coordinator.
	Coordinator string
	// TLS says how the client connects to the coordinator; nil means in plaintext.
	TLS *TLS
	// Listen and Admin are the HOST:PORT of the listeners of Envoy: for callers, and for its
	// administrator.
	Listen, Admin string
	// Services are the services to which Envoy routes calls.
	Services []Service
	// ServiceCA is the file with the roots of the certificates of services; empty means none.
	ServiceCA string
	// PanicThreshold is the percentage of usable endpoints below which Envoy uses all endpoints; 0
	// means that it never does.
	PanicThreshold int
	// DetectDegraded makes Envoy take the header x-envoy-degraded of a reply as a sign that the
	// endpoint is degraded.
	DetectDegraded bool
	// Static makes Envoy ask the coordinator with health checks about the instances that Services
	// lists. If it is false, Envoy receives the endpoints of the services over ADS.
	Static bool
}

// TLS names the files with which a client connects to the coordinator. They are files on the machine
// of the client. CA has the roots of the certificate of the coordinator; Envoy has no roots of its own.
// Empty Cert and Key mean that the client has no certificate.
type TLS struct {
	CA, Cert, Key string
	// ServerName is the name in the certificate of the coordinator.
	ServerName string
}

// Service is a service to which Envoy routes calls.
type Service struct {
	Name string
	// TLSNames are the names that a certificate of the service may have. If there is none, Envoy
	// connects to it in plaintext.
	TLSNames []string
	// Instances are the instances that a static bootstrap lists.
	Instances []Instance
}

// Instance is one instance in a static bootstrap.
type Instance struct {
	Name         string
	Endpoint     netip.AddrPort
	Region, Zone string
	Weight       uint32
}

//go:embed bootstrap.yaml.tmpl
var bootstrapText string

//go:embed socket.yaml.tmpl
var socketText string

var (
	socketTemplate    = template.Must(template.New("socket").Funcs(template.FuncMap{"text": text, "kindOf": kindOf}).Parse(socketText))
	bootstrapTemplate = template.Must(template.New("bootstrap").Funcs(bootstrapFuncs).Parse(bootstrapText))
)

var bootstrapFuncs = template.FuncMap{
	"text":       text,
	"host":       func(address string) string { host, _, _ := net.SplitHostPort(address); return text(host) },
	"port":       func(address string) string { _, port, _ := net.SplitHostPort(address); return port },
	"ip":         func(a netip.AddrPort) string { return text(a.Addr().Unmap().String()) },
	"authority":  func(instance string) string { return text(authority(instance)) },
	"localities": localities,
	"isIP":       func(address string) bool { host, _, _ := net.SplitHostPort(address); return net.ParseIP(host) != nil },
	"socket":     func(spaces int, s *socket) (string, error) { return s.lines(spaces) },
}

// Envoy returns the bootstrap of an Envoy as YAML. The fields must be valid.
func (b *Bootstrap) Envoy() (string, error) {
	var out strings.Builder
	if err := bootstrapTemplate.Execute(&out, b); err != nil {
		return "", err
	}
	return out.String(), nil
}

// ClusterName returns the name of the cluster of the coordinator.
func (*Bootstrap) ClusterName() string { return CoordinatorCluster }

// socket has the values of the TLS settings of one cluster.
type socket struct {
	CA, Cert, Key string
	Names         []string // one of them must be in the certificate of the peer
}

// Socket returns the TLS settings for the coordinator; nil means plaintext.
func (b *Bootstrap) Socket() *socket {
	if b.TLS == nil {
		return nil
	}
	name := b.TLS.ServerName
	if name == "" {
		name, _, _ = net.SplitHostPort(b.Coordinator)
	}
	return &socket{b.TLS.CA, b.TLS.Cert, b.TLS.Key, []string{name}}
}

// ServiceSocket returns the TLS settings for a service; nil means plaintext.
func (b *Bootstrap) ServiceSocket(s Service) *socket {
	if len(s.TLSNames) == 0 {
		return nil
	}
	return &socket{CA: b.ServiceCA, Names: s.TLSNames}
}

// ServerName returns the first name that is the name of a host, because only such a name can be asked
// for in a handshake.
func (s *socket) ServerName() string {
	for _, name := range s.Names {
		if kindOf(name) == "DNS" {
			return name
		}
	}
	return ""
}

// lines returns the settings as YAML. Each line begins with so many spaces, and a new line comes
// before the first one.
func (s *socket) lines(spaces int) (string, error) {
	var out strings.Builder
	err := socketTemplate.Execute(&out, s)
	begin := "\n" + strings.Repeat(" ", spaces)
	return begin + strings.ReplaceAll(strings.TrimSuffix(out.String(), "\n"), "\n", begin), err
}

// kindOf returns the kind of a name in a certificate.
func kindOf(name string) string {
	switch {
	case isURI(name):
		return "URI"
	case net.ParseIP(name) != nil:
		return "IP_ADDRESS"
	}
	return "DNS"
}

// GRPC returns the bootstrap of a gRPC client as JSON. It uses Node, Cluster, Coordinator, TLS and
// ServiceCA. grpc-js needs the locality and the refresh_interval, which have their defaults.
func (b *Bootstrap) GRPC() (string, error) {
	type object = map[string]any
	creds := object{"type": "insecure"}
	if b.TLS != nil {
		creds = object{"type": "tls", "config": withoutEmpty(map[string]string{
			"ca_certificate_file": b.TLS.CA, "certificate_file": b.TLS.Cert, "private_key_file": b.TLS.Key,
		})}
	}
	bootstrap := object{
		"xds_servers": []object{{"server_uri": b.Coordinator, "channel_creds": []object{creds}, "server_features": []string{"xds_v3"}}},
		"node":        object{"id": b.Node, "cluster": b.Cluster, "locality": object{}},
	}
	if b.ServiceCA != "" {
		bootstrap["certificate_providers"] = object{"default": object{
			"plugin_name": "file_watcher", "config": object{"ca_certificate_file": b.ServiceCA, "refresh_interval": "600s"},
		}}
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(bootstrap)
	return out.String(), err
}

func withoutEmpty(m map[string]string) map[string]string {
	for key, value := range m {
		if value == "" {
			delete(m, key)
		}
	}
	return m
}

// text returns a text as YAML, with quotes unless every reader of YAML takes it as a text.
func text(s string) string {
	_, word := booleanWord(s)
	if s == "" || word || strings.EqualFold(s, "null") {
		return quoted(s)
	}
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == '/'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789.-", r)) {
			return quoted(s)
		}
	}
	return s
}

// locality has the instances of one zone.
type locality struct {
	Region, Zone string
	Instances    []Instance
}

// localities groups instances by their region and zone, in the order of the first ones.
func localities(instances []Instance) []*locality {
	type place struct{ region, zone string }
	byPlace := map[place]*locality{}
	var all []*locality
	for _, i := range instances {
		at := place{i.Region, i.Zone}
		if byPlace[at] == nil {
			byPlace[at] = &locality{Region: i.Region, Zone: i.Zone}
			all = append(all, byPlace[at])
		}
		byPlace[at].Instances = append(byPlace[at].Instances, i)
	}
	return all
}

// Scale returns the weight with its default and its limit applied.
func (i Instance) Scale() string {
	return strconv.FormatUint(uint64(min(max(i.Weight, 1), health.MaxWeight)), 10)
}

// isURI reports whether a name in a certificate is a URI, as spiffe://mesh/payments, and not a host.
func isURI(name string) bool {
	u, err := url.Parse(name)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// authority returns the authority with which a health check asks the coordinator for one instance.
func authority(instance string) string {
	return strings.ReplaceAll(instance, ":", "%3A") + wire.InstanceSuffix
}
