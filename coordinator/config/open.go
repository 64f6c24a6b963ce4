package config

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/coordinator"
)

// Open returns the configuration of the coordinator, which logs to logger. It reads the access policy. The
// certificates in cfg are read again when their files change. Open does not set Build. The caller must call closeFiles after
// the coordinator has ended.
func (s *Settings) Open(ctx context.Context, logger *slog.Logger) (cfg coordinator.Config, closeFiles func(), err error) {
	cfg = s.Coordinator
	cfg.Logger = logger
	switch cfg.DataDir {
	case "":
		cfg.DataDir = DefaultDataDir
	case coordinator.Off:
		cfg.DataDir = ""
	}
	if s.AccessPolicy != "" {
		if cfg.Access, err = LoadAccessPolicy(ctx, s.AccessPolicy); err != nil {
			return coordinator.Config{}, func() {}, accessError(err)
		}
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
