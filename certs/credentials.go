package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc/credentials"
)

// Dial has the settings of a client.
type Dial struct {
	// ServerName is the name that must be in the certificate of the server. Empty means the host
	// that is dialled.
	ServerName string
	// TLS12 means that the server may use TLS 1.2. If it is false, TLS 1.3 is required.
	TLS12 bool
}

// Credentials are the TLS credentials of gRPC connections. Each handshake uses the current content
// of the files of a Source. TLS sessions are not resumed, because a session could be resumed after
// its certificate is no longer trusted.
type Credentials struct {
	source *Source
	dial   Dial
	uri    string // URI that the certificate of a server may have in place of its name; empty: none
	last   atomic.Pointer[Failure]
}

var _ credentials.TransportCredentials = (*Credentials)(nil)

// Client returns credentials for outgoing connections.
func (s *Source) Client(d Dial) *Credentials { return &Credentials{source: s, dial: d} }

// Expecting returns credentials for outgoing connections to one server. Its certificate may have a URI, such as a
// SPIFFE ID, in place of the name that is dialled. The URI must be its only one. In all else they are like c.
func (c *Credentials) Expecting(uri string) credentials.TransportCredentials {
	return &Credentials{source: c.source, dial: c.dial, uri: uri}
}

// Server returns credentials for incoming connections. They accept a client without a certificate,
// because a server can refuse single calls of such a client. A certificate that is shown must be
// valid.
func (s *Source) Server() *Credentials { return &Credentials{source: s} }

// LastFailure returns the failure of the last handshake of a client, or nil if it did not fail.
func (c *Credentials) LastFailure() *Failure { return c.last.Load() }

// ClientHandshake implements credentials.TransportCredentials. It sends nothing before the
// certificate of the server is verified.
func (c *Credentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	m, err := c.source.material()
	if err != nil {
		return nil, nil, err
	}
	// gRPC verifies the name that is passed here, and ignores the field ServerName of a tls.Config.
	name := cmp.Or(c.dial.ServerName, authority)
	cfg := c.dial.config(m)
	var chains [][]*x509.Certificate
	if c.uri != "" {
		cfg.InsecureSkipVerify = true // #nosec G402 -- VerifyConnection verifies, because crypto/tls knows no URIs
		cfg.VerifyConnection = func(state tls.ConnectionState) (err error) {
			if chains, err = verifyURI(&state, m, c.uri, name); err != nil {
				return err
			}
			return verifyServer(state)
		}
	}
	secured, info, err := credentials.NewTLS(cfg).ClientHandshake(ctx, name, raw)
	if err != nil {
		return nil, nil, c.explained(err, "server")
	}
	c.last.Store(nil)
	if t, ok := info.(credentials.TLSInfo); ok && chains != nil {
		t.State.VerifiedChains = chains
		info = t
	}
	return c.admit(raw, secured, info, m, x509.ExtKeyUsageServerAuth)
}

// verifyURI verifies the certificate of a server as crypto/tls does. If uri is its only URI, its names do not
// matter. Otherwise it must be for the name that is dialled.
func verifyURI(state *tls.ConnectionState, m *material, uri, name string) ([][]*x509.Certificate, error) {
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	shown := state.PeerCertificates
	if len(shown[0].URIs) == 1 && shown[0].URIs[0].String() == uri {
		name = ""
	}
	o := x509.VerifyOptions{Roots: m.roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range shown[1:] {
		o.Intermediates.AddCert(c)
	}
	chains, err := shown[0].Verify(o)
	if err != nil {
		return nil, &tls.CertificateVerificationError{UnverifiedCertificates: shown, Err: err}
	}
	return chains, nil
}

// config returns the settings of one handshake with a server.
func (d Dial) config(m *material) *tls.Config {
	least := uint16(tls.VersionTLS13)
	if d.TLS12 {
		least = tls.VersionTLS12
	}
	return &tls.Config{MinVersion: least, RootCAs: m.roots, Certificates: m.own, VerifyConnection: verifyServer}
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *Credentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	m, err := c.source.material()
	if err != nil {
		return nil, nil, err
	}
	secured, info, err := credentials.NewTLS(serverConfig(m)).ServerHandshake(raw)
	if err != nil {
		err := c.explained(err, "client")
		c.source.logRefusal(raw.RemoteAddr(), err)
		return nil, nil, err
	}
	return c.admit(raw, secured, info, m, x509.ExtKeyUsageClientAuth)
}

// serverConfig returns the settings of one handshake with a client.
func serverConfig(m *material) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: m.own, SessionTicketsDisabled: true, VerifyConnection: verifyClient}
	if m.roots != nil {
		cfg.ClientCAs, cfg.ClientAuth = m.roots, tls.VerifyClientCertIfGiven
	}
	return cfg
}

func (c *Credentials) explained(err error, peer string) error {
	f := explain(err, peer)
	if f == nil {
		return err
	}
	c.last.Store(f)
	return f
}

// admit adds the connection to the connections that the Source may close.
func (c *Credentials) admit(raw, secured net.Conn, info credentials.AuthInfo, m *material, usage x509.ExtKeyUsage) (net.Conn, credentials.AuthInfo, error) {
	admitted := &securedConn{Conn: secured, creds: c, server: usage == x509.ExtKeyUsageServerAuth}
	t, ok := info.(credentials.TLSInfo)
	if !ok {
		return admitted, info, nil
	}
	admitted.peer = newPeer(raw, &t.State, usage)
	if err := c.source.admit(admitted.peer, m); err != nil {
		_ = secured.Close()
		return nil, nil, err
	}
	return admitted, info, nil
}

// admit adds a peer that was verified with m. If m is no longer the current material, it verifies the
// peer again. A nil peer is admitted.
func (s *Source) admit(p *peer, m *material) error {
	for p != nil && !s.peers.add(p, m, s.current.Load) {
		var err error
		if m, err = s.material(); err != nil {
			return err
		}
		if !p.verify(m, time.Now()) {
			return errNoLongerTrusted
		}
	}
	return nil
}

var errNoLongerTrusted = errors.New("tls: the roots of the peer's certificate were removed during the handshake")

// logRefusal logs a failed handshake with a client, at most one in ten seconds. A connection that only
// ends is not logged, because a port check does that.
func (s *Source) logRefusal(from net.Addr, err error) {
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		return
	}
	omitted, ok := s.refused.due(time.Now())
	if !ok {
		return
	}
	s.log.Warn("a TLS handshake failed; "+f.Advice, "client", from.String(), "reason", f.Reason, "more", omitted)
}

// HTTP returns the configuration of an HTTP server. Each handshake uses the current content of the
// files, with the same rules as Server. The Source closes connections whose peers are no longer
// trusted. For this the connections of the listener need a method AfterClose(func()), as those of a
// coordinator have. Other connections stay open.
func (s *Source) HTTP() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		m, err := s.material()
		if err != nil {
			return nil, err
		}
		cfg := serverConfig(m)
		cfg.NextProtos = []string{"h2", "http/1.1"}
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			if err := verifyClient(state); err != nil {
				return err
			}
			return s.admitHTTP(hello.Conn, &state, m)
		}
		return cfg, nil
	}}
}

func (s *Source) admitHTTP(raw net.Conn, state *tls.ConnectionState, m *material) error {
	closing, ok := raw.(interface{ AfterClose(func()) })
	p := newPeer(raw, state, x509.ExtKeyUsageClientAuth)
	if !ok || p == nil {
		return nil
	}
	if err := s.admit(p, m); err != nil {
		return err
	}
	closing.AfterClose(func() { s.peers.remove(p) })
	return nil
}

// Info implements credentials.TransportCredentials.
func (c *Credentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials. It returns c itself, because c is safe for
// concurrent use.
func (c *Credentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials. It always returns an error.
func (c *Credentials) OverrideServerName(string) error {
	return errors.New("not supported: the name is part of the configuration")
}

// securedConn is a connection after its handshake.
type securedConn struct {
	net.Conn
	creds  *Credentials
	peer   *peer // nil if the peer has shown no certificate
	server bool  // the peer is a server
}

// Read implements net.Conn. In TLS 1.3 a server verifies the certificate of the client after the
// client has ended its handshake. So the alert of the server is the error of a Read.
func (c *securedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.server && isAlert(err) {
		err = c.creds.explained(err, "server")
	}
	return n, err
}

// Write implements net.Conn. A server that refuses the certificate of the client sends an alert and
// closes the connection. So a Write may fail before the alert is read. Write then reads what the
// server has sent. This read does not block, because the connection is closed.
func (c *securedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.server && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
		var rest [512]byte
		for failed := error(nil); failed == nil; {
			if _, failed = c.Read(rest[:]); failed != nil && isAlert(failed) {
				err = failed
			}
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *securedConn) Close() error {
	if c.peer != nil {
		c.creds.source.peers.remove(c.peer)
	}
	return c.Conn.Close()
}
