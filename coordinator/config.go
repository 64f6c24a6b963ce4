package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/watch"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Where a coordinator listens unless told otherwise.
const (
	DefaultListen = "127.0.0.1:7070"
	DefaultHTTP   = "127.0.0.1:7071"
	// Off as Config.HTTP means no HTTP at all.
	Off = "off"
)

// Config says how a coordinator works. The zero value is a coordinator on
// loopback that keeps everything in memory.
type Config struct {
	// Listen is the gRPC address; empty means DefaultListen. A host that is not
	// a loopback address needs Credentials, or Insecure.
	Listen string
	// HTTP is the address of /metrics, /livez and /readyz; empty means
	// DefaultHTTP, Off none.
	HTTP string
	// Listener and HTTPListener are used instead, where set. Run closes them.
	Listener, HTTPListener net.Listener

	// DataDir is where the embedded store lives; empty means memory only, which
	// forgets everything at the end.
	DataDir string
	// Store is used instead, where set. Run closes it.
	Store store.Store

	// Credentials are those of the gRPC listener; nil means plaintext.
	Credentials credentials.TransportCredentials
	// Insecure allows plaintext beyond loopback, and then lets everybody
	// register and override. Use it only where the network keeps others out.
	Insecure bool

	// Dial says how instances are dialled.
	Dial Dial
	// Allow lists the networks registered addresses may be in. None means:
	// loopback when listening on loopback, else the caller's own address only.
	Allow []netip.Prefix
	// Static are registered at the start, without a lease.
	Static []Target

	// Policy says how instances and services are judged.
	Policy health.MeshPolicy
	// StoreTrust is how old a stored status may be to be kept after a restart;
	// 0 means 5 min.
	StoreTrust time.Duration

	// PollEvery is how often an instance is asked that has the Check of
	// grpc.health.v1 only, but a third of the policy's UnreachableAfter at most; 0
	// means 5 s, 1 s is the least.
	PollEvery time.Duration
	// Retry says how calls to instances are made again that were turned away.
	Retry watch.Retry

	// MaxInstances bounds what may be registered; 0 means 50,000.
	MaxInstances int
	// MaxWatchers and MaxWatchersPerPeer bound open Watch streams; 0 means
	// 20,000 and 4,096.
	MaxWatchers, MaxWatchersPerPeer int
	// MaxConnsPerPeer bounds open connections from one host; 0 means 1,024.
	MaxConnsPerPeer int
	// MetricInstances is how many instances get metric series of their own;
	// beyond it there are counts only. 0 means 2,000; negative means none.
	MetricInstances int

	// Build is the version told to callers.
	Build string
	// Logger gets one line per transition; nil means none.
	Logger *slog.Logger
}

// Dial says how the coordinator dials instances. There is no falling back: an
// instance that does not speak what is configured is UNKNOWN (cause tls).
type Dial struct {
	// Credentials for every service; nil means plaintext.
	Credentials credentials.TransportCredentials
	// Services have credentials of their own; a nil value means plaintext.
	Services map[string]credentials.TransportCredentials
	// Context replaces the network, for tests; the address is host:port as it
	// was registered. nil means TCP, with the allow-list checked on every
	// address that is dialled.
	Context func(ctx context.Context, address string) (net.Conn, error)
}

// Target is one instance registered by configuration.
type Target struct {
	Service, Instance string
	Address           string // host:port
	HealthName        string // what to ask it for; empty: the service
	Labels            map[string]string
	Zone              string
	Version           string
	ServerName        string // to verify in its certificate; empty: the host
}

func (c *Config) setDefaults() {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.HTTP == "" {
		c.HTTP = DefaultHTTP
	}
	if c.MaxConnsPerPeer == 0 {
		c.MaxConnsPerPeer = 1024
	}
	if c.MetricInstances == 0 {
		c.MetricInstances = 2000
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// validate reports everything that is wrong, by field.
func (c *Config) validate() error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{field}, args...)...))
	}
	if c.Listener == nil {
		if err := c.checkListen(c.Listen); err != nil {
			add("Listen", "%w", err)
		}
	}
	if c.HTTPListener == nil && c.HTTP != Off {
		if err := c.checkListen(c.HTTP); err != nil {
			add("HTTP", "%w", err)
		}
	}
	if c.Store != nil && c.DataDir != "" {
		add("DataDir", "is given beside Store; allowed: one of them")
	}
	if err := c.Policy.Validate(); err != nil {
		add("Policy", "%w", err)
	}
	if err := c.Retry.Validate(); err != nil {
		add("Retry", "%w", err)
	}
	if c.PollEvery != 0 && c.PollEvery < watch.LeastPollEvery {
		add("PollEvery", "is %v; allowed: %v or more, 0 for the default", c.PollEvery, watch.LeastPollEvery)
	}
	for _, f := range []struct {
		field string
		n     int
	}{
		{"MaxInstances", c.MaxInstances},
		{"MaxWatchers", c.MaxWatchers},
		{"MaxWatchersPerPeer", c.MaxWatchersPerPeer},
		{"MaxConnsPerPeer", c.MaxConnsPerPeer},
	} {
		if f.n < 0 {
			add(f.field, "is %d; allowed: 1 or more, 0 for the default", f.n)
		}
	}
	if _, err := registrationsOf(c.Static); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkListen wants loopback as long as nothing protects what is served.
func (c *Config) checkListen(address string) error {
	if err := wire.CheckListen(address); err != nil {
		return err
	}
	if c.Credentials != nil || c.Insecure || wire.IsLoopback(address) {
		return nil
	}
	return fmt.Errorf("%s is not a loopback address; allowed without TLS: loopback, or with Insecure (--insecure)", address)
}
