package coordinator_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// issue returns a certificate for 127.0.0.1 that is valid until the begin of a year.
func issue(ca *nettest.Authority, until int) tls.Certificate {
	return ca.Sign(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Date(until, 1, 1, 0, 0, 0, 0, time.UTC),
	})
}

// deployed is a stock server with these options, which can be replaced.
func deployed(before, after []grpc.ServerOption) target {
	return func(r *rig) (ill, well func()) {
		deploy := func(options []grpc.ServerOption) {
			r.stock(at, []string{"pay"}, options...)
			r.net.Cut(at)
		}
		deploy(before)
		return func() { deploy(after) }, func() { deploy(before) }
	}
}

func rowTLS(t *testing.T) {
	ca, other := nettest.NewAuthority(t), nettest.NewAuthority(t)
	presents := func(c tls.Certificate) []grpc.ServerOption {
		return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{c}}))}
	}
	wants := func(version uint16) []grpc.ServerOption {
		return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{issue(ca, 2100)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(), MaxVersion: version,
		}))}
	}
	good := presents(issue(ca, 2100))
	steadily := func(r *rig, a *turned) {
		r.misconfigured(a, health.CauseTLS)
		r.explained("pay/a", "the TLS handshake fails")
		r.recovers(a)
	}
	answering(t, map[string]target{
		"TLS, followed in plaintext":        deployed(nil, good),
		"mutual TLS, followed in plaintext": deployed(nil, wants(tls.VersionTLS13)),
	}, steadily)
	answeringTo(t, func(c *coordinator.Config) {
		c.Dial.Credentials = credentials.NewTLS(&tls.Config{RootCAs: ca.Pool()})
	}, map[string]target{
		"plaintext, followed by TLS":            deployed(good, nil),
		"a certificate of another authority":    deployed(good, presents(issue(other, 2100))),
		"a certificate that has expired":        deployed(good, presents(issue(ca, 1999))),
		"one that wants ours, by an alert":      deployed(good, wants(tls.VersionTLS13)),
		"one that wants ours, in the handshake": deployed(good, wants(tls.VersionTLS12)),
	}, steadily)
}
