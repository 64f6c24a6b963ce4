package api

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// acceptor accepts connections and does their handshakes. After that, it passes each connection to
// one of three gRPC servers: for verified peers, for other peers, and for refused connections.
type acceptor struct {
	listener net.Listener // accepts connections of the type *Conn
	creds    credentials.TransportCredentials
	verified *connQueue // connections of peers with a verified certificate
	others   *connQueue // connections of all other peers
	refused  *connQueue // connections that exceed a limit
}

// connQueue is a net.Listener from which one gRPC server gets connections. The acceptor puts the
// connections into it.
type connQueue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

var errListenerClosed = errors.New("the listener is closed")

func newConnQueue(addr net.Addr) *connQueue {
	return &connQueue{conns: make(chan net.Conn), closed: make(chan struct{}), addr: addr}
}

// Accept implements net.Listener. It waits for the next connection.
func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, errListenerClosed
	}
}

// Close implements net.Listener. It makes all calls of Accept return an error.
func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr returns the address on which the coordinator listens.
func (q *connQueue) Addr() net.Addr { return q.addr }

// serve accepts connections until the listener is closed or fails. It returns when every
// handshake has ended.
func (a *acceptor) serve(ctx context.Context) error {
	var handshakes sync.WaitGroup
	defer handshakes.Wait()
	for wait := time.Duration(0); ; {
		raw, err := a.listener.Accept()
		switch {
		case err == nil:
			wait = 0
			handshakes.Go(func() { a.admit(ctx, raw.(*Conn)) })
		case ctx.Err() != nil:
			return nil
		case !temporary(err):
			return err
		default: // errors such as too many open files may be temporary; grpc-go waits in the same way
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			if !sleep(ctx, wait) {
				return nil
			}
		}
	}
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// sleep waits for d. It returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// admit does the handshake of a connection, counts the connection for its peer, and passes it to a
// gRPC server.
func (a *acceptor) admit(ctx context.Context, c *Conn) {
	// When ctx ends, the deadline of the connection is set to now, which ends the handshake.
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	_ = c.SetDeadline(time.Now().Add(wire.HandshakeTimeout))
	secured, info, err := a.creds.ServerHandshake(c)
	if err != nil {
		_ = c.Close()
		return
	}
	queue := a.queueFor(c, info)
	_ = c.SetDeadline(time.Time{})
	select {
	case queue.conns <- authenticatedConn{Conn: secured, info: info}:
	case <-queue.closed:
		_ = secured.Close()
	}
}

// queueFor counts a connection for its peer, and returns the queue of the gRPC server that must
// handle it. If the connection exceeds a limit, queueFor returns a.refused.
func (a *acceptor) queueFor(c *Conn, info credentials.AuthInfo) *connQueue {
	queue, err := a.others, c.Refused()
	if chains := verifiedChains(info); chains != nil {
		queue, err = a.verified, c.identify(identityOf(chains[0][0]))
	}
	if err != nil {
		return a.refused
	}
	return queue
}

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

// authenticatedConn is a connection whose handshake the acceptor has done.
type authenticatedConn struct {
	net.Conn
	info credentials.AuthInfo
}

// authenticated is the credentials of a gRPC server that gets its connections from an acceptor. It
// does no handshake, because the acceptor has already done the handshake.
type authenticated struct {
	credentials.TransportCredentials
}

func newAuthenticated() credentials.TransportCredentials {
	return authenticated{insecure.NewCredentials()}
}

// ServerHandshake implements credentials.TransportCredentials. It returns the result of the
// handshake that the acceptor has done.
func (authenticated) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	a, ok := c.(authenticatedConn)
	if !ok {
		return nil, nil, errListenerClosed
	}
	return a.Conn, a.info, nil
}

// Clone implements credentials.TransportCredentials.
func (a authenticated) Clone() credentials.TransportCredentials { return a }
