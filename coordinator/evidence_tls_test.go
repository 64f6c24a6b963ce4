package coordinator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
)

// authority signs certificates for 127.0.0.1 that are valid in the years of a bubble.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	own := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = own, nil
	signed := a.sign(t, own)
	a.cert, a.key = signed.Leaf, signed.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
}

// issue returns a certificate that is valid until the begin of a year.
func (a *authority) issue(t *testing.T, until int) tls.Certificate {
	t.Helper()
	return a.sign(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: january(until)})
}

func january(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

// sign signs with the authority's key. The first certificate signs itself.
func (a *authority) sign(t *testing.T, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore = big.NewInt(1), january(1990)
	if c.NotAfter.IsZero() {
		c.NotAfter = january(2100)
	}
	by := a.key
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
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
	ca, other := newAuthority(t), newAuthority(t)
	presents := func(c tls.Certificate) []grpc.ServerOption {
		return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{c}}))}
	}
	wants := func(version uint16) []grpc.ServerOption {
		return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{ca.issue(t, 2100)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool, MaxVersion: version,
		}))}
	}
	good := presents(ca.issue(t, 2100))
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
		c.Dial.Credentials = credentials.NewTLS(&tls.Config{RootCAs: ca.pool})
	}, map[string]target{
		"plaintext, followed by TLS":            deployed(good, nil),
		"a certificate of another authority":    deployed(good, presents(other.issue(t, 2100))),
		"a certificate that has expired":        deployed(good, presents(ca.issue(t, 1999))),
		"one that wants ours, by an alert":      deployed(good, wants(tls.VersionTLS13)),
		"one that wants ours, in the handshake": deployed(good, wants(tls.VersionTLS12)),
	}, steadily)
}
