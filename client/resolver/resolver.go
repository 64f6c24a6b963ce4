package resolver

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	grpcresolver "google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/logs"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Scheme is the scheme of the targets that a Resolver resolves, as in meshhealth:///payments.
const Scheme = "meshhealth"

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
	client *client.Client
	cfg    Config
	log    *logs.Logger

	mu sync.Mutex
	// services has the services of all channels. It also has up to maxUnused services without a
	// channel, so that a channel that was idle knows the last instances.
	services map[string]*followed
	watches  []*watch
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
	return &Resolver{client: c, cfg: cfg, log: logs.New(cfg.Logger), services: map[string]*followed{}}, nil
}

// Scheme implements the Builder of google.golang.org/grpc/resolver.
func (r *Resolver) Scheme() string { return Scheme }

// Build implements the Builder of google.golang.org/grpc/resolver. gRPC calls it for each channel.
func (r *Resolver) Build(t grpcresolver.Target, cc grpcresolver.ClientConn, o grpcresolver.BuildOptions) (grpcresolver.Resolver, error) {
	parsed, err := r.parse(&t)
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
	r.join(c)
	return c, nil
}

// target is what the target of a channel says.
type target struct {
	service      string
	zone, region string
	byWeights    bool // the policy of the channel reads weights
}

// The keys of the query of a target, and the values of shareKey.
const (
	zoneKey   = "zone"
	regionKey = "region"
	shareKey  = "share"

	shareSubset  = "subset"
	shareWeights = "weights"
)

func (r *Resolver) parse(t *grpcresolver.Target) (target, error) {
	var errs fields.Errors
	parsed := target{service: t.Endpoint(), zone: r.cfg.Zone, region: r.cfg.Region}
	if t.URL.Host != "" {
		errs.Addf("authority", "is %q; allowed: none, as in %s:///payments", t.URL.Host, Scheme)
	}
	errs.Add("service", wire.CheckService(parsed.service))
	query, err := url.ParseQuery(t.URL.RawQuery)
	errs.Add("query", err)
	for _, key := range slices.Sorted(maps.Keys(query)) {
		errs.Add(key, parsed.set(key, query[key]))
	}
	return parsed, errs.Join()
}

// set sets what one key of the query says.
func (t *target) set(key string, values []string) error {
	if len(values) != 1 {
		return fmt.Errorf("is set %d times; allowed: once", len(values))
	}
	value := values[0]
	switch key {
	case zoneKey:
		t.zone = value
		return wire.CheckZone(value)
	case regionKey:
		t.region = value
		return wire.CheckZone(value)
	case shareKey:
		t.byWeights = value == shareWeights
		if value != shareWeights && value != shareSubset {
			return fmt.Errorf("is %q; allowed: %s, %s", value, shareSubset, shareWeights)
		}
		return nil
	}
	return fmt.Errorf("is no key of a target; allowed: %s", strings.Join([]string{zoneKey, regionKey, shareKey}, ", "))
}
