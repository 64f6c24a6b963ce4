package api

import (
	"crypto/x509"

	"google.golang.org/grpc/credentials"
)

// verifiedChains returns the verified certificate chains of a peer, or nil if the peer has shown no
// certificate that could be verified.
func verifiedChains(info credentials.AuthInfo) [][]*x509.Certificate {
	if t, ok := info.(credentials.TLSInfo); ok && len(t.State.VerifiedChains) > 0 {
		return t.State.VerifiedChains
	}
	return nil
}

// identityOf returns the identity in a certificate: the first URI, as in SPIFFE. If the certificate
// has no URI, its subject is the identity.
func identityOf(cert *x509.Certificate) string {
	if len(cert.URIs) > 0 {
		return cert.URIs[0].String()
	}
	return cert.Subject.String()
}

// namesOf returns the names in a certificate that can be an identity.
func namesOf(cert *x509.Certificate) (uris, dnsNames []string) {
	for _, u := range cert.URIs {
		uris = append(uris, u.String())
	}
	return uris, cert.DNSNames
}
