package api

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/test/bufconn"
)

// listener is a listener in memory whose connections have addresses.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	dials  atomic.Int32
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and refuses new connections.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that is not an IP address.
func (l *listener) Addr() net.Addr { return from("198.51.100.1") }

// dialFrom returns a dialler whose connections come from a host.
func (l *listener) dialFrom(host string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		l.dials.Add(1)
		ours, theirs, err := pair(ctx)
		if err != nil {
			return nil, err
		}
		select {
		case l.conns <- &located{Conn: theirs, at: from(host)}:
			return ours, nil
		case <-l.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// pair returns the two ends of a buffered connection.
func pair(ctx context.Context) (ours, theirs net.Conn, err error) {
	l := bufconn.Listen(256 << 10)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept() // it fails only if Dial does
		accepted <- c
	}()
	if ours, err = l.DialContext(ctx); err != nil {
		return nil, nil, err
	}
	return ours, <-accepted, nil
}

func from(host string) net.Addr {
	at, err := netip.ParseAddr(host)
	if err != nil {
		return place(host)
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(at, 1234))
}

// place is an address that is not an IP address, as of a Unix socket.
type place string

func (place) Network() string  { return "unix" }
func (p place) String() string { return string(p) }

// located is a connection with a remote address.
type located struct {
	net.Conn
	at net.Addr
}

// RemoteAddr returns the remote address.
func (c *located) RemoteAddr() net.Addr { return c.at }
