package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

func kindOf(err error) certs.Kind {
	if f, ok := errors.AsType[*certs.Failure](err); ok {
		return f.Kind
	}
	return certs.KindOther
}

// bad is a certificate that must be refused. kind is that of the failure on the side that refuses.
type bad struct {
	name string
	cert tls.Certificate
	kind certs.Kind
}

// maker makes certificates for one side. usage is what a certificate for this side permits, and other
// what one for the other side permits.
type maker struct {
	ca           *nettest.Authority
	usage, other x509.ExtKeyUsage
	t            *testing.T
}

// with signs a certificate that differs from a good one.
func (m *maker) with(change func(*x509.Certificate)) tls.Certificate {
	c := template()
	c.ExtKeyUsage = []x509.ExtKeyUsage{m.usage}
	change(c)
	return m.ca.Sign(c)
}

// below signs a good certificate by an authority that differs from a good one.
func (m *maker) below(change func(*x509.Certificate)) tls.Certificate {
	c := authorityTemplate()
	change(c)
	leaf := template()
	leaf.URIs = []*url.URL{{Scheme: "spiffe", Host: "other.example", Path: "/peer"}}
	leaf.EmailAddresses = []string{"peer@other.example"}
	return m.ca.Sub(c).Sign(leaf)
}

// self returns a certificate that signs itself.
func (m *maker) self() tls.Certificate {
	c := template()
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, c.KeyUsage|x509.KeyUsageCertSign
	return nettest.SelfSigned(m.t, c).Own()
}

func authorityTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "between"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// all returns certificates that both sides refuse.
func (m *maker) all() []bad {
	now, day := time.Now(), 24*time.Hour
	without := m.below(func(*x509.Certificate) {})
	without.Certificate = without.Certificate[:1]
	tampered := m.with(func(*x509.Certificate) {})
	tampered.Certificate = [][]byte{slices.Clone(tampered.Certificate[0])}
	tampered.Certificate[0][len(tampered.Certificate[0])-1] ^= 1
	foreignKey := m.with(func(*x509.Certificate) {})
	foreignKey.PrivateKey = m.with(func(*x509.Certificate) {}).PrivateKey
	self := nettest.NewAuthority(m.t)
	impostor := nettest.NewAuthority(m.t)
	long := m.ca.Sub(&x509.Certificate{
		Subject: pkix.Name{CommonName: "one"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, MaxPathLenZero: true,
	}).Sub(authorityTemplate()).Sign(template())
	return []bad{
		{"expired yesterday", m.with(func(c *x509.Certificate) { c.NotAfter = now.Add(-day) }), certs.KindExpired},
		{"expired a minute ago", m.with(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), certs.KindExpired},
		{"valid from tomorrow on", m.with(func(c *x509.Certificate) { c.NotBefore = now.Add(day) }), certs.KindNotYetValid},
		{"another authority", self.Sign(template()), certs.KindUnknownAuthority},
		{"another authority of the same name", impostor.Sign(template()), certs.KindUnknownAuthority},
		{"signs itself", m.self(), certs.KindUnknownAuthority},
		{"signed by a certificate that is none of an authority", m.below(func(c *x509.Certificate) { c.IsCA = false }), certs.KindUnknownAuthority},
		{"signed by an authority that may not sign", m.below(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), certs.KindUnknownAuthority},
		{"signed by an expired authority", m.below(func(c *x509.Certificate) { c.NotAfter = now.Add(-day) }), certs.KindExpired},
		{"signed by an authority of tomorrow", m.below(func(c *x509.Certificate) { c.NotBefore = now.Add(day) }), certs.KindNotYetValid},
		{"without the authority between", without, certs.KindUnknownAuthority},
		{"too long a chain", long, certs.KindOther},
		{"an authority for the other use", m.below(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{m.other} }), certs.KindUsage},
		{"DNS names that its authority may not sign", m.below(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"other.example"} }), certs.KindOther},
		{"DNS names that are excluded", m.below(func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"peer"} }), certs.KindOther},
		{"addresses that its authority may not sign", m.below(func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}}
		}), certs.KindOther},
		{"addresses that are excluded", m.below(func(c *x509.Certificate) {
			c.ExcludedIPRanges = []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}}
		}), certs.KindOther},
		{"a URI that its authority may not sign", m.below(func(c *x509.Certificate) { c.PermittedURIDomains = []string{"mesh.example"} }), certs.KindOther},
		{"a mail address that is excluded", m.below(func(c *x509.Certificate) { c.ExcludedEmailAddresses = []string{"other.example"} }), certs.KindOther},
		{"for the other use", m.with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{m.other} }), certs.KindUsage},
		{"for code", m.with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), certs.KindUsage},
		{"for mail", m.with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }), certs.KindUsage},
		{"may only encrypt", m.with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), certs.KindUsage},
		{"an unknown critical extension", m.with(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), certs.KindOther},
		{"another signature", tampered, certs.KindUnknownAuthority},
		{"the key of another certificate", foreignKey, certs.KindOther},
	}
}

// authorities returns certificates of authorities, which only a server refuses.
func (m *maker) authorities() []bad {
	return []bad{
		{"the root itself", m.ca.Own(), certs.KindUsage},
		{"an authority below the root", m.ca.Sub(authorityTemplate()).Own(), certs.KindUsage},
		{"an authority that may also sign handshakes", m.with(func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid = true, true
			c.KeyUsage |= x509.KeyUsageCertSign
		}), certs.KindUsage},
	}
}

// names returns certificates for other names, which only a client refuses.
func (m *maker) names() []bad {
	named := func(names ...string) tls.Certificate {
		return m.with(func(c *x509.Certificate) { c.DNSNames = names })
	}
	return []bad{
		{"another name", named("other"), certs.KindName},
		{"no name", named(), certs.KindName},
		{"the name only in the subject", m.with(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }), certs.KindName},
		{"a wildcard", named("*.peer"), certs.KindName},
		{"a wildcard for everything", named("*"), certs.KindName},
		{"a longer name", named("peer.example"), certs.KindName},
		{"the name in a URI", m.with(func(c *x509.Certificate) {
			c.DNSNames, c.URIs = nil, []*url.URL{{Scheme: "spiffe", Host: "peer", Path: "/peer"}}
		}), certs.KindName},
	}
}

// TestBadClients checks that a server refuses bad certificates, and tells the client about it.
func TestBadClients(t *testing.T) {
	f := newFolder(t)
	s := f.open(certs.Options{})
	m := &maker{f.ca, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth, t}
	refused := func(b bad) {
		t.Helper()
		// This client shows the certificate also if the server does not list its authority.
		client := credentials.NewTLS(&tls.Config{RootCAs: f.ca.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &b.cert, nil }})
		c, srv := shake(t, client, s.Server())
		if srv.err == nil {
			t.Errorf("%s: is accepted", b.name)
		} else if kindOf(srv.err) != b.kind {
			t.Errorf("%s: kind %d, want %d: %v", b.name, kindOf(srv.err), b.kind, srv.err)
		}
		if c.refusal() == nil {
			t.Errorf("%s: the client does not learn of it", b.name)
		}
	}
	all := append(m.all(), m.authorities()...)
	for _, b := range all {
		refused(b)
	}
	if n := s.Status().Peers; n != 0 {
		t.Errorf("%d peers", n)
	}
	good := m.with(func(*x509.Certificate) {})
	if _, srv := shake(t, credentials.NewTLS(&tls.Config{RootCAs: f.ca.Pool(), Certificates: []tls.Certificate{good}}), s.Server()); srv.err != nil {
		t.Errorf("a good certificate: %v", srv.err)
	}
	t.Logf("%d certificates of clients are refused", len(all))
}

// TestBadServers checks that a client refuses bad certificates, with an error that says what to do.
func TestBadServers(t *testing.T) {
	f := newFolder(t)
	s := f.open(certs.Options{})
	m := &maker{f.ca, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth, t}
	shows := func(c tls.Certificate) credentials.TransportCredentials {
		return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{c}})
	}
	all := append(m.all(), m.names()...)
	for _, b := range all {
		creds := s.Client(certs.Dial{})
		c, _ := shake(t, creds, shows(b.cert))
		if c.err == nil {
			t.Errorf("%s: is accepted", b.name)
			continue
		}
		if kindOf(c.err) != b.kind || creds.LastFailure() == nil {
			t.Errorf("%s: kind %d, want %d: %v", b.name, kindOf(c.err), b.kind, c.err)
		}
	}
	if c, _ := shake(t, s.Client(certs.Dial{}), shows(m.with(func(*x509.Certificate) {}))); c.err != nil {
		t.Errorf("a good certificate: %v", c.err)
	}
	t.Logf("%d certificates of servers are refused", len(all))
}

// TestProtocols checks versions, ALPN and plaintext.
func TestProtocols(t *testing.T) {
	f := newFolder(t)
	s := f.open(certs.Options{})
	own := f.ca.Certificate("peer", time.Hour)
	raw := func(protocol string, version uint16) *tls.Config {
		cfg := &tls.Config{RootCAs: f.ca.Pool(), ServerName: "peer", Certificates: []tls.Certificate{own}, MaxVersion: version}
		if protocol != "" {
			cfg.NextProtos = []string{protocol}
		}
		return cfg
	}
	for name, cfg := range map[string]*tls.Config{
		"no ALPN": raw("", 0), "HTTP/1.1": raw("http/1.1", 0), "TLS 1.2": raw("h2", tls.VersionTLS12),
	} {
		near, far := loopback(t)
		conn := tls.Client(near, cfg)
		go func() { _ = conn.HandshakeContext(t.Context()) }()
		if _, _, err := s.Server().ServerHandshake(far); kindOf(err) != certs.KindVersion {
			t.Errorf("a client with %s: %v", name, err)
		}
		near.Close()
	}
	for name, c := range map[string]struct {
		cfg  *tls.Config
		dial certs.Dial
		good bool
	}{
		"no ALPN":            {raw("", 0), certs.Dial{}, false},
		"HTTP/1.1":           {raw("http/1.1", 0), certs.Dial{}, false},
		"TLS 1.2":            {raw("h2", tls.VersionTLS12), certs.Dial{}, false},
		"TLS 1.2, permitted": {raw("h2", tls.VersionTLS12), certs.Dial{TLS12: true}, true},
		"TLS 1.1":            {raw("h2", tls.VersionTLS11), certs.Dial{TLS12: true}, false},
		"TLS 1.3":            {raw("h2", 0), certs.Dial{}, true},
	} {
		near, far := loopback(t)
		conn := tls.Server(far, c.cfg)
		go func() { _ = conn.HandshakeContext(t.Context()) }()
		_, _, err := s.Client(c.dial).ClientHandshake(t.Context(), "peer:1", near)
		if (err == nil) != c.good || err != nil && kindOf(err) != certs.KindVersion {
			t.Errorf("a server with %s: %v", name, err)
		}
		far.Close()
		near.Close()
	}
	near, far := loopback(t)
	go func() { _, _ = far.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }()
	if _, _, err := s.Client(certs.Dial{}).ClientHandshake(t.Context(), "peer:1", near); kindOf(err) != certs.KindPlaintext {
		t.Errorf("a plaintext server: %v", err)
	}
	far.Close()
}

// TestNoResumption checks that a session is not resumed, because the certificates of the next
// connection would not be verified.
func TestNoResumption(t *testing.T) {
	f := newFolder(t)
	s := f.open(certs.Options{})
	client := credentials.NewTLS(&tls.Config{RootCAs: f.ca.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(8)})
	for range 3 {
		c, srv := shake(t, client, s.Server())
		if c.err != nil || srv.err != nil || c.info.State.DidResume {
			t.Errorf("resumed %v, %v, %v", c.info.State.DidResume, c.err, srv.err)
		}
		srv.Close()
		c.refusal() // reads what the server has sent, such as a session ticket
	}
}

// TestRefusalTexts checks what a client learns when a server refuses its certificate.
func TestRefusalTexts(t *testing.T) {
	f, other := newFolder(t), nettest.NewAuthority(t)
	demanding := func(pool *x509.CertPool, at time.Time) credentials.TransportCredentials {
		own := f.ca.Certificate("peer", time.Hour)
		return credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, Time: func() time.Time { return at },
		})
	}
	now := time.Now()
	for name, c := range map[string]struct {
		files  certs.Files
		server credentials.TransportCredentials
		kind   certs.Kind
		want   string
	}{
		"no certificate":    {certs.Files{Roots: f.files.Roots}, demanding(f.ca.Pool(), now), certs.KindRequired, "give a certificate and key"},
		"another authority": {f.files, demanding(other.Pool(), now), certs.KindRefused, "remote error: tls: "},
		"a clock ahead":     {f.files, demanding(f.ca.Pool(), now.Add(3*365*24*time.Hour)), certs.KindRefused, "set the clock of the server"},
	} {
		s, err := certs.Open(c.files, certs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		end, _ := shake(t, s.Client(certs.Dial{}), c.server)
		if err := end.refusal(); kindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
}
