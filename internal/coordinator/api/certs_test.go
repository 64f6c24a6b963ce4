package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
)

const serverName = "coordinator.test"

// authority is a certificate authority.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	made := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.cert, a.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// sign completes and signs a certificate, which is valid for an hour by default. The first
// certificate of an authority is the authority's own.
func (a *authority) sign(c *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore = big.NewInt(1), time.Now().Add(-2*time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// server returns the credentials of a listener that trusts this authority.
func (a *authority) server(auth tls.ClientAuthType) credentials.TransportCredentials {
	cert := a.sign(&x509.Certificate{
		DNSNames: []string{serverName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: auth, ClientCAs: a.pool(), MinVersion: tls.VersionTLS13,
	})
}

// person returns a certificate of a client.
func (a *authority) person(until time.Time, usage x509.ExtKeyUsage) *tls.Certificate {
	cert := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "ann"}, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
	return &cert
}

// client returns the credentials of a client that trusts this authority and shows a
// certificate; nil means none.
func (a *authority) client(shows *tls.Certificate) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		RootCAs: a.pool(), ServerName: serverName, MinVersion: tls.VersionTLS13,
		// The client shows its certificate also if the server does not list its authority.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if shows == nil {
				return &tls.Certificate{}, nil
			}
			return shows, nil
		},
	})
}
