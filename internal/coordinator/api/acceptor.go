package api

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// Listener is a listener with the credentials of its connections. nil credentials mean plaintext.
type Listener struct {
	net.Listener
	Credentials credentials.TransportCredentials
}

// acceptor accepts connections and does their handshakes. After that, it passes each connection to
// one of three gRPC servers: for known peers, for other peers, and for refused connections.
type acceptor struct {
	listener net.Listener // accepts connections of the type *Conn
	creds    credentials.TransportCredentials
	access   *Access
	known    *connQueue // connections of peers that may send large requests
	others   *connQueue // connections of all other peers
	refused  *connQueue // connections that exceed a limit
}

// at returns a copy of a for one listener.
func (a acceptor) at(peers *Peers, l Listener) *acceptor {
	a.listener, a.creds = peers.Listen(l.Listener), l.Credentials
	if a.creds == nil {
		a.creds = insecure.NewCredentials()
	}
	return &a
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
	err := c.Refused()
	chains := verifiedChains(info)
	if chains != nil {
		err = c.identify(identityOf(chains[0][0]))
	}
	switch {
	case err != nil:
		return a.refused
	case chains != nil || c.unix || a.access.Anonymous().Instances() > 0:
		return a.known
	}
	return a.others
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
