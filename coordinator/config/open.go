package config

import (
	"context"
	"fmt"

	"github.com/meshhealth/meshhealth/coordinator"
)

// Open returns the configuration of the coordinator. The credentials in cfg read their files again
// when the files change. Open does not set Logger and Build. The caller must call closeFiles after
// the coordinator has ended.
func (s *Settings) Open(ctx context.Context) (cfg coordinator.Config, closeFiles func(), err error) {
	cfg = s.Coordinator
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
	var o opener
	// c must not be assigned if it is nil, because an interface that holds a nil *Credentials is
	// not nil.
	if c := o.open("tls", s.TLS, ServerCredentials); c != nil {
		cfg.Credentials = c
		if s.HTTPTLS != coordinator.Off {
			cfg.HTTPTLS = c.HTTPConfig()
		}
	}
	if c := o.open("dial.default", s.Dial.Default, ClientCredentials); c != nil {
		cfg.Dial.Credentials = c
	}
	for name, t := range s.Dial.Services {
		cfg.Dial.Services = with(cfg.Dial.Services, name, nil)
		if c := o.open("dial.services."+name, t, ClientCredentials); c != nil {
			cfg.Dial.Services[name] = c
		}
	}
	if o.err != nil {
		o.close()
		return coordinator.Config{}, func() {}, o.err
	}
	return cfg, o.close, nil
}

// opener opens credentials until one of them fails.
type opener struct {
	opened []*Credentials
	err    error
}

// open opens the credentials of a section. It returns nil if t is nil, or if this call or an
// earlier one has failed.
func (o *opener) open(section string, t *TLS, open func(*TLS) (*Credentials, error)) *Credentials {
	if t == nil || o.err != nil {
		return nil
	}
	c, err := open(t)
	if err != nil {
		o.err = fmt.Errorf("%s: %w", section, err)
		return nil
	}
	o.opened = append(o.opened, c)
	return c
}

func (o *opener) close() {
	for _, c := range o.opened {
		c.Close()
	}
}
