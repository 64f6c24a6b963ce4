package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Defaults of the configuration file that differ from the defaults of coordinator.Config.
const (
	// DefaultDataDir is the folder of the store, relative to the working directory.
	DefaultDataDir   = "meshhealth-data"
	DefaultLogFormat = "json"
	DefaultLogLevel  = "info"
)

// On is a value of Settings.HTTPTLS.
const On = "on"

// LogFormats returns the allowed formats of the log.
func LogFormats() []string { return []string{"json", "console"} }

// LogLevels returns the allowed levels of the log, the most detailed first.
func LogLevels() []string { return []string{"debug", "info", "warn", "error"} }

// Settings holds the content of a configuration file. The zero value is the content of an empty
// file, and means the default of every setting.
type Settings struct {
	// Coordinator holds the settings of the coordinator, except Credentials, HTTPTLS, Access, Dial and
	// Certificates, which Open sets. An empty Coordinator.DataDir means DefaultDataDir here, and the value coordinator.Off
	// means a store in memory.
	Coordinator coordinator.Config
	// TLS names the certificate files of the gRPC listener and the HTTP listener; nil means plaintext.
	TLS *TLS
	// HTTPTLS is coordinator.Off if the HTTP listener speaks plaintext although TLS is set. On means
	// that TLS must be set. Empty means that the HTTP listener speaks TLS if TLS is set.
	HTTPTLS string
	// AccessPolicy is the file of the access policy; empty means none.
	AccessPolicy string
	// Dial says how the coordinator connects to instances.
	Dial Dial
	// Log has the format and the level of the log. Open does not use it.
	Log Log
	// NoTargets is true if the file says `services: []`. If it is false, a Reloader refuses a
	// changed file without targets.
	NoTargets bool

	dataDirLine int  // number of the line with the key data_dir
	empty       bool // true if the configuration file has no content
}

// Dial says how a coordinator connects to instances. A nil *TLS means plaintext.
type Dial struct {
	// Default is the TLS section for each service that is not in Services.
	Default  *TLS
	Services map[string]*TLS
}

// Log is the section "log" of a file. An empty string means the default.
type Log struct {
	Format, Level string
}

// Errors of Settings.Check.
var (
	// ErrInsecure reports that InsecureOpen is set beside TLS or an access policy.
	ErrInsecure = errors.New("insecure_open is given beside tls or access_policy; allowed: without them")
	// ErrPlaintext reports that the coordinator would listen without TLS on an address that is not
	// on loopback, although InsecureOpen is false.
	ErrPlaintext = errors.New("in plaintext would admit everybody who can reach this address")
	// ErrNoAccessPolicy reports that the coordinator would listen without an access policy on an address
	// that is not on loopback, although InsecureOpen is false.
	ErrNoAccessPolicy = errors.New("without an access policy would admit everybody who can reach this address")
	// ErrAllow reports that targets.allow is set beside an access policy.
	ErrAllow = errors.New("targets.allow is given beside access_policy; allowed: addresses in the rules of the access policy")
	// ErrNoHTTPTLS reports that the HTTP listener shall speak TLS, but there are no certificates.
	ErrNoHTTPTLS = errors.New("http_tls is on without tls; allowed: on with tls, off, or no http_tls")
)

// Check reports settings that contradict each other: one of the errors above. An error about an address begins
// with the name of its setting.
func (s *Settings) Check() error {
	switch {
	case s.Coordinator.InsecureOpen && (s.TLS != nil || s.AccessPolicy != ""):
		return ErrInsecure
	case s.AccessPolicy != "" && len(s.Coordinator.Allow) > 0:
		return ErrAllow
	case s.TLS == nil && s.HTTPTLS == On:
		return ErrNoHTTPTLS
	case s.Coordinator.InsecureOpen:
		return nil
	case s.TLS == nil && !wire.IsLoopback(s.listen()):
		return &fields.Error{Field: "listen", Err: fmt.Errorf("%s %w", s.listen(), ErrPlaintext)}
	}
	for _, l := range []struct{ setting, address string }{{"listen", s.listen()}, {"http", s.listenHTTP()}} {
		if l.address != "" && s.AccessPolicy == "" && !wire.IsLoopback(l.address) {
			return &fields.Error{Field: l.setting, Err: fmt.Errorf("%s %w", l.address, ErrNoAccessPolicy)}
		}
	}
	return nil
}

// listenHTTP returns the address of the HTTP listener if it speaks TLS, else "". In plaintext, such a listener
// serves only what everybody may read.
func (s *Settings) listenHTTP() string {
	if s.TLS == nil || s.HTTPTLS == coordinator.Off || s.Coordinator.HTTP == coordinator.Off {
		return ""
	}
	return cmp.Or(s.Coordinator.HTTP, coordinator.DefaultHTTP)
}

func (s *Settings) listen() string {
	if s.Coordinator.Listen == "" {
		return coordinator.DefaultListen
	}
	return s.Coordinator.Listen
}

// InMemory reports whether the coordinator keeps all records in memory and none on disk.
func (s *Settings) InMemory() bool { return s.Coordinator.DataDir == coordinator.Off }

// Differences returns the names of the sections that differ between s and other. It ignores the
// sections services and policy.services, because a Reloader applies their changes at once.
func (s *Settings) Differences(other *Settings) []string {
	was, is := &s.Coordinator, &other.Coordinator
	wasPolicy, isPolicy := was.Policy, is.Policy
	wasPolicy.Services, isPolicy.Services = map[string]health.ServicePolicy{}, map[string]health.ServicePolicy{}
	var names []string
	for _, section := range []struct {
		name    string
		was, is any
	}{
		{"listen", was.Listen, is.Listen},
		{"http", was.HTTP, is.HTTP},
		{"http_tls", s.HTTPTLS, other.HTTPTLS},
		{"http_hosts", was.HTTPHosts, is.HTTPHosts},
		{"web_prefix", was.WebPrefix, is.WebPrefix},
		{"web", was.Web, is.Web},
		{"data_dir", was.DataDir, is.DataDir},
		{"insecure_open", was.InsecureOpen, is.InsecureOpen},
		{"access_policy", s.AccessPolicy, other.AccessPolicy},
		{"socket", was.Socket, is.Socket},
		{"tls", s.TLS.files(), other.TLS.files()},
		{"dial", s.Dial.files(), other.Dial.files()},
		{"targets", was.Allow, is.Allow},
		{"policy", wasPolicy, isPolicy},
		{"store_trust", was.StoreTrust, is.StoreTrust},
		{"poll_every", was.PollEvery, is.PollEvery},
		{"target_budget", was.TargetBudget, is.TargetBudget},
		{"retry", was.Retry, is.Retry},
		{"limits", limitsOf(was), limitsOf(is)},
		{"metrics", was.MetricInstances, is.MetricInstances},
		{"xds", was.XDSCertificates, is.XDSCertificates},
		{"log", s.Log, other.Log},
	} {
		if !reflect.DeepEqual(section.was, section.is) {
			names = append(names, section.name)
		}
	}
	return names
}

func limitsOf(c *coordinator.Config) [5]int {
	return [5]int{c.MaxInstances, c.MaxWatchers, c.MaxWatchersPerPeer, c.MaxConnsPerPeer, c.IPv6Prefix}
}

// files returns the TLS section of each service, by name, without the position of the section in
// the file. The default section has an empty name.
func (d *Dial) files() map[string]TLS {
	all := map[string]TLS{"": d.Default.files()}
	for name, t := range d.Services {
		all[name] = t.files()
	}
	return all
}

// with sets the value of a key in the map m, and returns m. If m is nil, it makes a new map.
func with[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}
