package coordinator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/coordinator/follow"
	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The default addresses of a coordinator, and a value that switches a setting off.
const (
	DefaultListen = "127.0.0.1:7070"
	DefaultHTTP   = "127.0.0.1:7071"
	// Off is a value for three fields of Config. As HTTP it means that nothing is served over HTTP.
	// As Web it means that there is no page, and as TargetBudget that messages are not limited.
	Off = "off"
)

// Config has the settings of a coordinator. With the zero value, the coordinator listens on
// loopback and keeps all records in memory.
type Config struct {
	// Listen is the gRPC address; empty means DefaultListen. A host that is not a loopback
	// address needs Credentials and Access, or InsecureOpen.
	Listen string
	// HTTP is the address of the listener for the page /ui/, its calls, /metrics, /livez and
	// /readyz. Empty means DefaultHTTP; Off means no HTTP.
	HTTP string
	// Listener, if it is not nil, is used instead of the address Listen. HTTPListener, if it is not
	// nil, is used instead of the address HTTP. Run closes both listeners.
	Listener, HTTPListener net.Listener

	// DataDir is the directory of the store. If it is empty, all records are kept in memory
	// and are lost when the process ends.
	DataDir string
	// Store, if it is not nil, is used instead of DataDir. Run closes the store.
	Store store.Store

	// Credentials are the credentials of the gRPC listener; nil means plaintext. Those of a
	// certs.Source use new certificates without a restart.
	Credentials credentials.TransportCredentials
	// Access says who may do what. nil means that the coordinator must listen on loopback only. Then every
	// caller may read, register and report. The user that runs the coordinator and root may do everything,
	// over the unix socket.
	Access *AccessPolicy
	// Authenticator identifies callers that show no certificate and no token that Access knows, and that do
	// not come over the unix socket. nil means that such callers have no identity.
	Authenticator Authenticator
	// Socket is the path of a unix socket for gRPC. Empty means meshhealth.sock in DataDir, or a path below
	// $XDG_RUNTIME_DIR without DataDir; with Listener it means none. Off means none.
	Socket string
	// InsecureOpen allows everybody to do everything, and plaintext on addresses other than loopback. Use it
	// only in a network in which every machine is trusted.
	InsecureOpen bool

	// HTTPTLS has the certificates of the HTTP listener; nil means plaintext. A plaintext listener
	// beyond loopback serves no page and no calls, unless InsecureOpen is true.
	HTTPTLS *tls.Config
	// Certificates are the sources of the certificates in Credentials, HTTPTLS and Dial. Their metrics
	// say when the certificates expire. At most 2,000 of them have metrics. The coordinator does not
	// close them.
	Certificates []Certificate
	// HTTPHosts are the host names that HTTP requests may use beside localhost and IP addresses: at
	// most 64. Give the name under which a proxy shows the page.
	HTTPHosts []string
	// WebPrefix is the path below which a proxy shows the page, such as "/meshhealth". Empty means
	// none. Requests are answered with and without it.
	WebPrefix string
	// Web is empty, or Off for no page below /ui/. The calls of the page are served all the same.
	Web string

	// Dial says how the coordinator connects to instances.
	Dial Dial
	// Allow lists the networks in which registered addresses may be, for a coordinator without Access: its
	// rules have networks of their own. If Allow is empty, a coordinator on loopback allows loopback addresses.
	// Any other coordinator allows only the address of the caller.
	Allow []netip.Prefix
	// Static lists the instances that are registered at the start, without a lease.
	Static []Target

	// Policy says how the status of instances, services and the mesh is computed.
	Policy health.MeshPolicy
	// StoreTrust is the largest age of the last commit at which stored statuses are trusted
	// after a restart; 0 means 5 min.
	StoreTrust time.Duration

	// PollEvery is the poll interval of an instance that serves only the Check of grpc.health.v1; 0
	// means 5 s, the minimum is 1 s. A value above a third of Policy.UnreachableAfter is reduced to
	// this third.
	PollEvery time.Duration
	// TargetBudget limits the messages of one instance. Empty means 20 messages a second, with
	// bursts of 100; Off means no limit. If an instance that pushes its status exceeds the
	// budget, only its latest message of each second is used.
	TargetBudget string
	// Retry says when, and how often, the coordinator repeats a call that an instance has refused.
	Retry Retry

	// XDSCertificates names the certificates with which xDS clients verify services that speak TLS. The
	// clients have these certificates in their own configuration.
	XDSCertificates Certificates

	// MaxInstances is the largest number of registered instances; 0 means 50,000.
	MaxInstances int
	// MaxWatchers is the largest number of open Watch streams; 0 means 20,000. MaxWatchersPerPeer
	// is the largest number of open Watch streams of one peer; 0 means 4,096.
	MaxWatchers, MaxWatchersPerPeer int
	// MaxConnsPerPeer is the largest number of open connections of one peer, gRPC and HTTP
	// together; 0 means 1,024. A peer with a verified certificate is identified by the first
	// URI in it, or else by its subject. Other peers are identified by the network from which
	// they connect, see IPv6Prefix.
	MaxConnsPerPeer int
	// IPv6Prefix is the length, in bits, of the IPv6 prefix that identifies the network of a
	// peer; 0 means 64.
	IPv6Prefix int
	// MetricInstances is the largest number of instances with metric series of their own; the
	// totals include all instances. 0 means 2,000; a negative number means none.
	MetricInstances int

	// Build is the version of the coordinator. Callers get it in answers.
	Build string
	// Logger receives a record for each transition, and an ERROR if Run fails. nil means that
	// each record at WARN or above goes to slog.Default(). slog.New(slog.DiscardHandler)
	// means no log.
	//
	// One goroutine of the coordinator writes all records to the log. No other goroutine waits for
	// the log. At most 4 MiB of records wait. Further records are dropped. Their number is logged,
	// and is a metric. Other goroutines call only the method Enabled of the handler, which must not
	// block.
	Logger *slog.Logger
}

// AccessPolicy says who may do what. Package config reads it from a file.
type AccessPolicy = access.Policy

// Authenticator identifies callers by other means than certificates and tokens of the AccessPolicy.
type Authenticator interface {
	// Authenticate returns the identity of a caller. certificates are those that were verified, the one of
	// the caller first. authorization is the value of the header of this name, which is empty unless the
	// connection is private. A rule names the identity as ext:IDENTITY. An empty identity means a caller
	// without one. An error refuses the call. Authenticate is called for each call, and concurrently.
	Authenticate(ctx context.Context, certificates []*x509.Certificate, authorization string) (identity string, err error)
}

// Certificate is the certificate of one section of a configuration, such as "tls" or "dial.default".
// Sections with the same files may share a Source.
type Certificate struct {
	Section string
	Source  *certs.Source
}

// Dial has the credentials with which the coordinator connects to instances. In tests it also
// contains a replacement for the network.
type Dial = follow.DialPolicy

// Certificates names the certificates of xDS clients.
type Certificates = xds.Certificates

// Retry says how refused calls to instances are repeated. RetryRule is the part of a Retry for one
// gRPC method.
type (
	Retry     = follow.Retry
	RetryRule = follow.RetryRule
)

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
}

// maxSocket is the largest number of bytes of the path of a unix socket that all systems accept.
const maxSocket = 103

// maxCount is the largest value that a limit in Config may have.
const maxCount = 1_000_000

// validate returns one error with a line for each field that has a wrong value.
func (c *Config) validate() error {
	var errs fields.Errors
	if c.Listener == nil {
		errs.Add("Listen", c.checkListen(c.Listen))
	}
	if c.HTTPListener == nil && c.HTTP != Off {
		errs.Add("HTTP", c.checkListenHTTP(c.HTTP))
	}
	if len(c.Socket) > maxSocket {
		errs.Addf("Socket", "has %d bytes; allowed: at most %d", len(c.Socket), maxSocket)
	}
	if c.Access != nil {
		_, err := access.Compile(c.Access)
		errs.Add("Access", err)
		if len(c.Allow) > 0 {
			errs.Addf("Allow", "is given beside Access; allowed: addresses in the rules of Access")
		}
	}
	if c.Store != nil && c.DataDir != "" {
		errs.Addf("DataDir", "is given beside Store; allowed: one of them")
	}
	errs.Add("HTTPHosts", wire.CheckHTTPHosts(c.HTTPHosts))
	if c.WebPrefix != "" {
		errs.Add("WebPrefix", wire.CheckWebPrefix(c.WebPrefix))
	}
	if c.Web != "" && c.Web != Off {
		errs.Addf("Web", "is %q; allowed: %s, or empty for the page", wire.CleanTo(c.Web, wire.MaxRule), Off)
	}
	errs.Add("Policy", c.Policy.Validate())
	errs.Add("Retry", c.Retry.Validate())
	if c.TargetBudget != "" && c.TargetBudget != Off {
		errs.Addf("TargetBudget", "is %q; allowed: %s, or empty for the default", wire.CleanTo(c.TargetBudget, wire.MaxRule), Off)
	}
	if c.PollEvery != 0 && (c.PollEvery < follow.LeastPollEvery || c.PollEvery > health.MaxDuration) {
		errs.Addf("PollEvery", "is %v; allowed: %v or more, 0 for the default; at most %v", c.PollEvery, follow.LeastPollEvery, health.MaxDuration)
	}
	if c.StoreTrust < 0 || c.StoreTrust > health.MaxDuration {
		errs.Addf("StoreTrust", "is %v; allowed: more than 0, at most %v, 0 for the default", c.StoreTrust, health.MaxDuration)
	}
	c.validateLimits(&errs)
	if c.InsecureOpen && (c.Credentials != nil || c.Access != nil) {
		errs.Addf("InsecureOpen", "is true beside Credentials or Access; allowed: without them, for InsecureOpen lets everybody do everything")
	}
	_, err := parseTargets(c.Static)
	return errors.Join(errs.Join(), err)
}

func (c *Config) validateLimits(errs *fields.Errors) {
	for _, f := range []struct {
		field string
		n     int
	}{
		{"MaxInstances", c.MaxInstances},
		{"MaxWatchers", c.MaxWatchers},
		{"MaxWatchersPerPeer", c.MaxWatchersPerPeer},
		{"MaxConnsPerPeer", c.MaxConnsPerPeer},
	} {
		if f.n < 0 || f.n > maxCount {
			errs.Addf(f.field, "is %d; allowed: 1 to %d, 0 for the default", f.n, maxCount)
		}
	}
	if c.IPv6Prefix < 0 || c.IPv6Prefix > 128 {
		errs.Addf("IPv6Prefix", "is %d; allowed: 1 to 128, 0 for %d", c.IPv6Prefix, wire.PeerPrefix)
	}
}

// checkListen returns an error for an address that is not on loopback, unless c has Credentials and
// Access, or InsecureOpen.
func (c *Config) checkListen(address string) error {
	if err := wire.CheckListen(address); err != nil {
		return err
	}
	switch {
	case c.InsecureOpen || wire.IsLoopback(address):
		return nil
	case c.Credentials == nil:
		return fmt.Errorf("%s is not a loopback address; allowed without TLS: loopback, or with InsecureOpen (--insecure-open)", address)
	case c.Access == nil:
		return fmt.Errorf("%s is not a loopback address; allowed without Access (--access-policy): loopback, or with InsecureOpen (--insecure-open)", address)
	}
	return nil
}

// checkListenHTTP returns an error for an address that is not on loopback and has HTTPTLS but no Access. A
// plaintext listener beyond loopback is allowed, because it serves only /metrics, /livez and /readyz.
func (c *Config) checkListenHTTP(address string) error {
	if err := wire.CheckListen(address); err != nil {
		return err
	}
	if c.InsecureOpen || wire.IsLoopback(address) || c.HTTPTLS == nil || c.Access != nil {
		return nil
	}
	return fmt.Errorf("%s is not a loopback address; allowed without Access (--access-policy): loopback, no HTTPTLS, or InsecureOpen (--insecure-open)", address)
}
