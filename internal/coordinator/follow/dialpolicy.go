package follow

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// DialPolicy says how the coordinator connects to instances. There is no fallback to
// another security protocol: an instance that does not speak the configured one is
// UNKNOWN with the cause "tls". The zero value means plaintext over TCP.
type DialPolicy struct {
	// Credentials are used for each service that Services does not name. Nil means
	// plaintext.
	Credentials credentials.TransportCredentials
	// Services maps a service to its own credentials. A nil value means plaintext.
	Services map[string]credentials.TransportCredentials
	// Context opens a connection in place of the network, for tests. The address is the
	// registered host:port. The function must be safe for concurrent use. Nil means TCP, for
	// which each dialled address must be in the list of allowed targets.
	Context func(ctx context.Context, address string) (net.Conn, error)
}

// expecting is implemented by credentials that accept the identity of a target in place of its name.
type expecting interface {
	Expecting(uri string) credentials.TransportCredentials
}

// credentials returns the credentials for a service. service is empty for all services
// that DialPolicy.Services does not contain. The target may show the identity registrant in place of
// its name.
func (p *DialPolicy) credentials(service, registrant string) credentials.TransportCredentials {
	c := p.Credentials
	if service != "" {
		c = p.Services[service]
	}
	if c == nil {
		return insecure.NewCredentials()
	}
	if e, ok := c.(expecting); ok && strings.Contains(registrant, "://") {
		return e.Expecting(registrant)
	}
	return c
}

// plaintext reports whether connections for a service have no TLS.
func (p *DialPolicy) plaintext(service string) bool {
	return p.credentials(service, "").Info().SecurityProtocol == "insecure"
}

// dialTimeout is the timeout of one attempt to connect, while the health score of the
// coordinator is 0, which is the best score. The attempt begins with the name lookup and ends
// with the handshakes.
const dialTimeout = 5 * time.Second

// dialFunc returns the function that opens network connections. A TCP connection never goes
// through a proxy. Each address that a name resolves to is checked when it is dialled, so that
// a second lookup with another result cannot bypass the check.
func (p *DialPolicy) dialFunc(targets *wire.Targets) func(ctx context.Context, key *linkKey) (net.Conn, error) {
	if p.Context != nil {
		return func(ctx context.Context, key *linkKey) (net.Conn, error) { return p.Context(ctx, key.address) }
	}
	return func(ctx context.Context, key *linkKey) (net.Conn, error) {
		host, _, err := net.SplitHostPort(key.address)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{
			// TCP keepalive is off, because missing messages on a stream reveal a dead peer
			// earlier.
			KeepAliveConfig: net.KeepAliveConfig{Enable: false},
			ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
				to, err := netip.ParseAddrPort(resolved)
				if err != nil {
					return err
				}
				return targets.CheckDial(wire.Dialled{Host: host, Registrant: key.registrant, Configured: key.configured}, to)
			},
		}
		return d.DialContext(ctx, "tcp", key.address)
	}
}

const (
	// maxDials is the largest number of dials in progress, over all addresses. A dial to a
	// host that does not answer takes dialTimeout, so 25 such hosts a second do not delay
	// other dials. With more dials, handshakes would only compete for the CPU.
	maxDials = 128
	// maxRedials is the largest number of dials in progress to addresses whose last attempt to
	// connect failed. The rest of maxDials is for first attempts. So addresses that keep
	// failing never delay a first attempt.
	maxRedials = maxDials / 2
)

// dialSlots bounds the number of dials in progress: each dial needs a slot. Only the
// coordinator causes the wait for a slot, so this wait is never evidence against a target.
type dialSlots struct{ all, redials chan struct{} }

func newDialSlots() dialSlots {
	return dialSlots{all: make(chan struct{}, maxDials), redials: make(chan struct{}, maxRedials)}
}

// acquire waits for a dial slot until ctx ends. redial says that the dial follows a failure. If
// err is nil, the caller must call free when the dial has ended.
func (s dialSlots) acquire(ctx context.Context, redial bool) (free func(), err error) {
	if redial {
		if err := acquireToken(ctx, s.redials); err != nil {
			return nil, err
		}
	}
	freeRedial := func() {
		if redial {
			<-s.redials
		}
	}
	if err := acquireToken(ctx, s.all); err != nil {
		freeRedial()
		return nil, err
	}
	return func() { <-s.all; freeRedial() }, nil
}

// acquireToken waits until it can send a token to c. It returns the error of ctx if ctx ends first.
func acquireToken(ctx context.Context, c chan struct{}) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
