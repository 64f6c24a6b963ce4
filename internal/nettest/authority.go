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
	t     *testing.T
	own   tls.Certificate
	chain [][]byte // certificates of the authorities between a and the root, a's own first; empty for a root
}

// NewAuthority returns an authority with a new key and a self-signed certificate.
func NewAuthority(t *testing.T) *Authority {
	t.Helper()
	return SelfSigned(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

// SelfSigned returns an authority with a new key and the certificate c, which it signs itself.
func SelfSigned(t *testing.T, c *x509.Certificate) *Authority {
	t.Helper()
	a := &Authority{t: t}
	a.own = a.Sign(c)
	return a
}

// Sub returns an authority whose certificate c is signed by a. Certificates that it signs come with c.
func (a *Authority) Sub(c *x509.Certificate) *Authority {
	a.t.Helper()
	own := a.Sign(c)
	return &Authority{t: a.t, own: own, chain: own.Certificate}
}

// Renew returns a root authority with the same name and key, and a new certificate.
func (a *Authority) Renew() *Authority {
	a.t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: a.own.Leaf.Subject, NotBefore: january(1990), NotAfter: january(2101),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, a.own.Leaf.PublicKey, a.own.PrivateKey)
	a.must(err)
	leaf, err := x509.ParseCertificate(der)
	a.must(err)
	return &Authority{t: a.t, own: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.own.PrivateKey, Leaf: leaf}}
}

// Own returns the certificate of the authority itself, with its key.
func (a *Authority) Own() tls.Certificate { return a.own }

// Sign adds a serial number and a time of validity to c, signs c, and returns it with a new key.
// The certificate is valid from c.NotBefore to c.NotAfter. If these are zero, it is valid from 1990 to
// 2100.
func (a *Authority) Sign(c *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotBefore.IsZero() {
		c.NotBefore = january(1990)
	}
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
	return tls.Certificate{Certificate: append([][]byte{der}, a.chain...), PrivateKey: key, Leaf: leaf}
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
	return a.Save(dir, name, a.Certificate(name, validFor))
}

// Save writes a certificate with its chain to NAME.pem, and its key to NAME.key, in the folder dir. It
// returns the paths of both files.
func (a *Authority) Save(dir, name string, c tls.Certificate) (cert, key string) {
	a.t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	a.must(err)
	return a.write(dir, name+".pem", "CERTIFICATE", c.Certificate...), a.write(dir, name+".key", "PRIVATE KEY", pkcs8)
}

// Roots writes the certificate of the authority into the file ca.pem in dir. It returns the
// path of the file.
func (a *Authority) Roots(dir string) string {
	a.t.Helper()
	return a.write(dir, "ca.pem", "CERTIFICATE", a.own.Certificate[0])
}

func (a *Authority) write(dir, name, kind string, blocks ...[]byte) string {
	a.t.Helper()
	var text []byte
	for _, der := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	name = filepath.Join(dir, name)
	a.must(os.WriteFile(name, text, 0o600))
	return name
}
