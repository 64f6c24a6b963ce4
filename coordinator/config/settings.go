package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
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
	// Coordinator holds the settings of the coordinator, except Credentials, HTTPTLS, Dial and
	// Certificates, which Open sets. An empty Coordinator.DataDir means DefaultDataDir here, and the value coordinator.Off
	// means a store in memory.
	Coordinator coordinator.Config
	// TLS names the certificate files of the gRPC listener and the HTTP listener; nil means plaintext.
	TLS *TLS
	// HTTPTLS is coordinator.Off if the HTTP listener speaks plaintext although TLS is set. On means
	// that TLS must be set. Empty means that the HTTP listener speaks TLS if TLS is set.
	HTTPTLS string
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
	// ErrInsecureTLS reports that both TLS and Insecure are set.
	ErrInsecureTLS = errors.New("insecure and tls are both given; allowed: one of them")
	// ErrPlaintext reports that the coordinator would listen without TLS on an address that is not
	// on loopback, although Insecure is false.
	ErrPlaintext = errors.New("in plaintext would admit everybody who can reach this address")
	// ErrNoHTTPTLS reports that the HTTP listener shall speak TLS, but there are no certificates.
	ErrNoHTTPTLS = errors.New("http_tls is on without tls; allowed: on with tls, off, or no http_tls")
)

// Check reports settings that contradict each other: ErrInsecureTLS, ErrPlaintext or ErrNoHTTPTLS.
func (s *Settings) Check() error {
	switch {
	case s.TLS != nil && s.Coordinator.Insecure:
		return ErrInsecureTLS
	case s.TLS == nil && s.HTTPTLS == On:
		return ErrNoHTTPTLS
	case s.TLS == nil && !s.Coordinator.Insecure && !wire.IsLoopback(s.listen()):
		return fmt.Errorf("listening on %s %w", s.listen(), ErrPlaintext)
	}
	return nil
}

func (s *Settings) listen() string {
	if s.Coordinator.Listen == "" {
		return coordinator.DefaultListen
	}
	return s.Coordinator.Listen
}

// InMemory reports whether the coordinator keeps all records in memory and none on disk.
func (s *Settings) InMemory() bool { return s.Coordinator.DataDir == coordinator.Off }

// Open returns the configuration of the coordinator, which logs to logger. The certificates in cfg are
// read again when their files change. Open does not set Build. The caller must call closeFiles after
// the coordinator has ended.
func (s *Settings) Open(logger *slog.Logger) (cfg coordinator.Config, closeFiles func(), err error) {
	cfg = s.Coordinator
	cfg.Logger = logger
	switch cfg.DataDir {
	case "":
		cfg.DataDir = DefaultDataDir
	case coordinator.Off:
		cfg.DataDir = ""
	}
	o := opener{options: certs.Options{Logger: logger}, sources: map[certs.Files]*certs.Source{}}
	if source := o.open("tls", s.TLS); source != nil {
		cfg.Credentials = source.Server()
		if s.HTTPTLS != coordinator.Off {
			cfg.HTTPTLS = source.HTTP()
		}
	}
	cfg.Dial.Credentials = o.dial("dial.default", s.Dial.Default)
	for _, name := range slices.Sorted(maps.Keys(s.Dial.Services)) {
		cfg.Dial.Services = with(cfg.Dial.Services, name, o.dial("dial.services."+name, s.Dial.Services[name]))
	}
	if o.err != nil {
		o.close()
		return coordinator.Config{}, func() {}, o.err
	}
	cfg.Certificates = o.opened
	return cfg, o.close, nil
}

// opener opens sources of certificates until one of them fails. Sections with the same files share a
// source.
type opener struct {
	options certs.Options
	sources map[certs.Files]*certs.Source
	opened  []coordinator.Certificate
	err     error
}

// open opens the source of a section. It returns nil if t is nil, or if this call or an earlier one
// has failed.
func (o *opener) open(section string, t *TLS) *certs.Source {
	if t == nil || o.err != nil {
		return nil
	}
	source := o.sources[t.names()]
	if source == nil {
		var err error
		if source, err = t.Open(o.options); err != nil {
			o.err = fmt.Errorf("%s: %w", section, err)
			return nil
		}
		o.sources[t.names()] = source
	}
	o.opened = append(o.opened, coordinator.Certificate{Section: section, Source: source})
	return source
}

// dial opens the source of a section, and returns the credentials of a client with it. It returns
// nil in the same cases as open.
func (o *opener) dial(section string, t *TLS) credentials.TransportCredentials {
	if source := o.open(section, t); source != nil {
		return source.Client(t.Dial())
	}
	return nil
}

func (o *opener) close() {
	for _, source := range o.sources {
		source.Close()
	}
}

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
		{"insecure", was.Insecure, is.Insecure},
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
