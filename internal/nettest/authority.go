package nettest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority issues certificates. Its own certificate is valid from 1990 to 2100. So it is also valid
// in a synctest bubble, whose clock starts in the year 2000.
type Authority struct {
	t   *testing.T
	own tls.Certificate
}

// NewAuthority returns an authority with a new key and a self-signed certificate.
func NewAuthority(t *testing.T) *Authority {
	t.Helper()
	a := &Authority{t: t}
	a.own = a.Sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// Sign adds a serial number and a time of validity to c, signs c, and returns it with a new key.
// The certificate is valid from 1990 to c.NotAfter, or to 2100 if c.NotAfter is zero.
func (a *Authority) Sign(c *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	c.SerialNumber, c.NotBefore = big.NewInt(time.Now().UnixNano()), january(1990)
	if c.NotAfter.IsZero() {
		c.NotAfter = january(2100)
	}
	parent, signer := a.own.Leaf, a.own.PrivateKey
	if parent == nil { // c is the certificate of the authority itself, which is self-signed
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	a.must(err)
	leaf, err := x509.ParseCertificate(der)
	a.must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func january(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

func (a *Authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// Certificate returns a certificate for a name and 127.0.0.1. Its SPIFFE ID is spiffe://mesh.test/NAME. It
// expires when the duration validFor has passed, or has already expired if validFor is negative.
func (a *Authority) Certificate(name string, validFor time.Duration) tls.Certificate {
	a.t.Helper()
	return a.Sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		URIs:     []*url.URL{{Scheme: "spiffe", Host: "mesh.test", Path: "/" + name}},
		NotAfter: time.Now().Add(validFor),
	})
}

// Pool returns a pool of trusted roots that has only the authority's own certificate.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.own.Leaf)
	return pool
}

// Issue makes a certificate as Certificate does. It writes the certificate to NAME.pem and its key
// to NAME.key in the folder dir, and returns the paths of both files.
func (a *Authority) Issue(dir, name string, validFor time.Duration) (cert, key string) {
	a.t.Helper()
	c := a.Certificate(name, validFor)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	a.must(err)
	return a.write(dir, name+".pem", "CERTIFICATE", c.Certificate[0]), a.write(dir, name+".key", "PRIVATE KEY", pkcs8)
}

// Roots writes the certificate of the authority into the file ca.pem in dir. It returns the
// path of the file.
func (a *Authority) Roots(dir string) string {
	a.t.Helper()
	return a.write(dir, "ca.pem", "CERTIFICATE", a.own.Certificate[0])
}

func (a *Authority) write(dir, name, kind string, der []byte) string {
	a.t.Helper()
	name = filepath.Join(dir, name)
	a.must(os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return name
}
