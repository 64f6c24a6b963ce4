package api

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/internal/nettest"
)

const serverName = "coordinator.test"

// authority issues the certificates of a coordinator and its clients.
type authority struct {
	*nettest.Authority
	t *testing.T
}

func newAuthority(t *testing.T) *authority { return &authority{nettest.NewAuthority(t), t} }

// server returns the credentials of a listener that trusts this authority.
func (a *authority) server(auth tls.ClientAuthType) credentials.TransportCredentials {
	cert := a.Sign(&x509.Certificate{
		DNSNames: []string{serverName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: auth, ClientCAs: a.Pool(), MinVersion: tls.VersionTLS13,
	})
}

// person returns a certificate of a client.
func (a *authority) person(until time.Time, usage x509.ExtKeyUsage) *tls.Certificate {
	cert := a.Sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "ann"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "mesh.test", Path: "/operator/ann"}}, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
	return &cert
}

// named returns a certificate of a client with the SPIFFE ID spiffe://mesh.test/PATH.
func (a *authority) named(path string) *tls.Certificate {
	cert := a.Sign(&x509.Certificate{
		URIs: []*url.URL{{Scheme: "spiffe", Host: "mesh.test", Path: "/" + path}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return &cert
}

// client returns the credentials of a client that trusts this authority and shows a
// certificate; nil means none.
func (a *authority) client(shows *tls.Certificate) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		RootCAs: a.Pool(), ServerName: serverName, MinVersion: tls.VersionTLS13,
		// The client shows its certificate also if the server does not list its authority.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if shows == nil {
				return &tls.Certificate{}, nil
			}
			return shows, nil
		},
	})
}
