package resolver

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"

	grpcresolver "google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/logs"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// ServiceConfig is a gRPC service config that selects the policy of this package.
const ServiceConfig = `{"loadBalancingConfig":[{"meshhealth":{}}]}`

// Config has the settings of a Resolver. The zero value is valid.
type Config struct {
	// Zone and Region say where the calling process is, with the names that instances register.
	// Channels prefer instances of this zone and region. Empty means no preference. The target of a
	// channel can set other values: meshhealth:///payments?zone=eu-1a&region=eu-1.
	Zone, Region string
	// ServiceConfig is a gRPC service config in JSON, which every channel gets. It takes precedence
	// over grpc.WithDefaultServiceConfig. Empty means that channels get none.
	ServiceConfig string
	// Logger receives a record when a service has no instance that can be called, and when the
	// coordinator hides addresses or does not answer. It also receives a record when such a trouble
	// ends. nil means that each record at WARN or above goes to slog.Default(). The Logger does not
	// delay the Resolver.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	var errs fields.Errors
	errs.Add("Zone", wire.CheckZone(c.Zone))
	errs.Add("Region", wire.CheckZone(c.Region))
	return errs.Join()
}

// Resolver is a gRPC name resolver for services that a coordinator knows. Use it with
// grpc.WithResolvers, or register it for the whole process with Register of
// google.golang.org/grpc/resolver. Its methods may be called concurrently.
type Resolver struct {
	cfg Config
	hub *hub
}

// New returns a Resolver that asks the coordinator of c. One Resolver for each Client is enough. The
// Client must stay open while channels use the Resolver. The error has one line for each field of cfg
// that is not valid.
func New(c *client.Client, cfg Config) (*Resolver, error) {
	if c == nil {
		return nil, errors.New("resolver: the Client is nil; allowed: a Client from client.New")
	}
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("resolver: %w", err)
	}
	return &Resolver{cfg, &hub{client: c, log: logs.New(cfg.Logger), services: map[string]*followed{}}}, nil
}

// Scheme implements the Builder of google.golang.org/grpc/resolver.
func (r *Resolver) Scheme() string { return Scheme }

// Build implements the Builder of google.golang.org/grpc/resolver. gRPC calls it for each channel.
func (r *Resolver) Build(t grpcresolver.Target, cc grpcresolver.ClientConn, o grpcresolver.BuildOptions) (grpcresolver.Resolver, error) {
	parsed, err := parse(&t, target{zone: r.cfg.Zone, region: r.cfg.Region})
	if err != nil {
		return nil, fmt.Errorf("resolver: %w", err)
	}
	var config *serviceconfig.ParseResult
	if r.cfg.ServiceConfig != "" && !o.DisableServiceConfig {
		if config = cc.ParseServiceConfig(r.cfg.ServiceConfig); config.Err != nil {
			return nil, fmt.Errorf("resolver: Config.ServiceConfig: %w", config.Err)
		}
	}
	seed := maphash.MakeSeed()
	c := newChannel(cc, config, parsed, func(text string) float64 {
		return float64(maphash.String(seed, text)>>11) / (1 << 53)
	})
	r.hub.join(c)
	return c, nil
}
