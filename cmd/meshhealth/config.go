package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/watch"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The defaults of the command, where it has other ones than the library.
const (
	defaultDataDir   = "meshhealth-data"
	defaultLogFormat = "json"
	defaultLogLevel  = "info"
)

// settings are what the file and the flags say, the zero value nothing.
type settings struct {
	listen, http string
	dataDir      string // off: in memory
	dataDirLine  int    // of the file, where it stands
	insecure     bool
	tls          *tlsSetting
	dial         dialSettings
	allow        []netip.Prefix
	targets      []coordinator.Target
	policy       health.MeshPolicy
	storeTrust   time.Duration
	pollEvery    time.Duration
	retry        watch.Retry
	limits       limits
	metrics      int
	log          logSettings
}

// tlsSetting is a tls section and the place it stands at.
type tlsSetting struct {
	tlsFiles
	line int
	path string
}

// dialSettings say how instances are dialled; nil means plaintext.
type dialSettings struct {
	standard *tlsSetting
	services map[string]*tlsSetting
}

type limits struct {
	instances, watchers, watchersPerPeer, connsPerPeer int
}

type logSettings struct {
	format, level string
}

// readConfig reads a configuration file, and the certificates it names.
func readConfig(name string) (*settings, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	p := &problems{file: name}
	if info.Size() > maxConfigFile {
		p.add(0, "", "is larger than %d bytes", maxConfigFile)
		return nil, p
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	s := parseConfig(p, text, filepath.Dir(name))
	s.checkFiles(p)
	return s, p.err()
}

// checkFiles reads the certificates that are named, and looks for the folder.
func (s *settings) checkFiles(p *problems) {
	if err := given(s.dataDir, checkDataDir); err != nil {
		p.add(s.dataDirLine, "data_dir", "%v", err)
	}
	s.tls.checkFiles(p)
	s.dial.standard.checkFiles(p)
	for _, t := range s.dial.services {
		t.checkFiles(p)
	}
}

func (t *tlsSetting) checkFiles(p *problems) {
	if t == nil {
		return
	}
	for _, e := range t.check() {
		field := e.field
		if field == "ca" && t.path == "tls" {
			field = "client_ca"
		}
		p.add(t.line, join(t.path, field), "%v", e.err)
	}
}

// problem is what is wrong with the whole, as it says nothing by itself.
func (s *settings) validate() error {
	switch {
	case s.tls != nil && s.insecure:
		return hinted("Leave out one of them.", "--insecure is given beside tls")
	case s.tls == nil && !s.insecure && !wire.IsLoopback(s.listenAddress()):
		return hinted("Give tls (--tls-cert, --tls-key, --tls-client-ca), or --insecure where the network keeps others out.",
			"listening on %s in plaintext would let everybody in who can reach it", s.listenAddress())
	}
	return nil
}

func (s *settings) listenAddress() string { return or(s.listen, coordinator.DefaultListen) }

// memory reports whether nothing is kept on disk.
func (s *settings) memory() bool { return s.dataDir == off }

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// over returns what a flag says, otherwise what the file says.
func over(flag string, file *string) {
	if flag != "" {
		*file = flag
	}
}

// credentials opens those that are configured. The caller closes them.
func (s *settings) credentials(cfg *coordinator.Config) (closers []*reloading, err error) {
	open := func(what string, t *tlsSetting, make func(tlsFiles, time.Duration) (*reloading, error)) *reloading {
		if t == nil || err != nil {
			return nil
		}
		r, e := make(t.tlsFiles, certRefresh)
		if e != nil {
			err = fmt.Errorf("%s: %w", what, e)
			return nil
		}
		closers = append(closers, r)
		return r
	}
	// A nil *reloading in an interface would not be nil.
	if r := open("tls", s.tls, serverCreds); r != nil {
		cfg.Credentials = r
	}
	if r := open("dial.default", s.dial.standard, clientCreds); r != nil {
		cfg.Dial.Credentials = r
	}
	for name, t := range s.dial.services {
		cfg.Dial.Services = with(cfg.Dial.Services, name, nil)
		if r := open("dial.services."+name, t, clientCreds); r != nil {
			cfg.Dial.Services[name] = r
		}
	}
	return closers, err
}
