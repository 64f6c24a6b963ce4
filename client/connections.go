package client

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// connections are the open connections of a Client. Each has the time of its last read.
//
// If a peer vanishes, its connection can look open for up to 15 minutes, and gRPC would use it for
// every new call. Therefore, when a call has timed out, the Client closes all connections that were
// silent during the call. A connection on which other calls are answered stays open.
type connections struct {
	start time.Time
	mu    sync.Mutex
	open  map[*trackedConn]bool
}

func newConnections() *connections {
	return &connections{start: time.Now(), open: map[*trackedConn]bool{}}
}

// closeSilent closes the connections on which nothing was received for at least the duration
// silence.
func (l *connections) closeSilent(silence time.Duration) {
	limit := time.Since(l.start) - silence
	for _, c := range l.silentSince(limit) {
		_ = c.Close() // the connection is not used any more, so the error does not matter
	}
}

// silentSince returns the connections on which nothing was received after the time limit, a
// duration after l.start.
func (l *connections) silentSince(limit time.Duration) []*trackedConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []*trackedConn
	for c := range l.open {
		if time.Duration(c.heard.Load()) <= limit {
			found = append(found, c)
		}
	}
	return found
}

func (l *connections) add(conn net.Conn) *trackedConn {
	c := &trackedConn{Conn: conn, owner: l}
	c.touch()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = true
	return c
}

func (l *connections) remove(c *trackedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// trackedConn is a connection that stores the time of its last read.
type trackedConn struct {
	net.Conn
	owner *connections
	heard atomic.Int64 // time of the last read, in nanoseconds after owner.start
}

func (c *trackedConn) touch() { c.heard.Store(int64(time.Since(c.owner.start))) }

// Read implements net.Conn.
func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.touch()
	}
	return n, err
}

// Close implements net.Conn. It also removes the connection from the list of its owner.
func (c *trackedConn) Close() error {
	c.owner.remove(c)
	return c.Conn.Close()
}

// trackingCredentials wrap credentials, and add each new connection to a list. A dialer of this
// package could not do this, because the caller may set another dialer in Config.DialOptions.
type trackingCredentials struct {
	credentials.TransportCredentials
	connections *connections
}

// ClientHandshake implements credentials.TransportCredentials. It adds raw to the list before the
// handshake.
func (l trackingCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := l.connections.add(raw)
	conn, info, err := l.TransportCredentials.ClientHandshake(ctx, authority, c)
	if err != nil {
		l.connections.remove(c) // gRPC closes raw itself
	}
	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (l trackingCredentials) Clone() credentials.TransportCredentials {
	return trackingCredentials{l.TransportCredentials.Clone(), l.connections}
}
