package api

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// MaxRefused is the largest number of refused connections that stay open. A refused connection
// exceeds a limit of its peer. It stays open so that its calls get an error that names the limit.
// It is no longer refused if its peer shows a verified certificate and does not exceed the limit
// for this identity. If there are too many refused connections, the oldest one is closed.
const MaxRefused = 64

// Peers counts open connections by peer. A peer with a verified certificate is identified by its
// identity, any other peer by its network. All listeners of a coordinator share one Peers. It is
// safe for concurrent use.
type Peers struct {
	maxPerPeer, ipv6Bits int

	mu      sync.Mutex
	open    map[string]int // number of open connections by peer
	refused []*Conn        // open connections that exceed a limit, the oldest first
}

// NewPeers returns a Peers that allows maxPerPeer connections for each peer; 0 means no limit.
// ipv6Bits is the length of the IPv6 prefix that identifies a network; 0 means wire.PeerPrefix.
func NewPeers(maxPerPeer, ipv6Bits int) *Peers {
	return &Peers{maxPerPeer: maxPerPeer, ipv6Bits: ipv6Bits, open: map[string]int{}}
}

// Listen returns a listener that counts the connections of l. Its connections are of type *Conn. It
// also accepts a connection that exceeds the limit. The method Refused of such a connection returns
// an error.
func (p *Peers) Listen(l net.Listener) net.Listener { return &countingListener{Listener: l, peers: p} }

type countingListener struct {
	net.Listener
	peers *Peers
}

// Accept returns the next connection, which is of type *Conn.
func (l *countingListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.peers.addConn(raw), nil
}

// addConn counts a new connection for the network from which it comes.
func (p *Peers) addConn(raw net.Conn) *Conn {
	c := &Conn{Conn: raw, peers: p}
	if u, is := raw.(*net.UnixConn); is {
		c.unix, c.peer = true, "unix"
		if uid, ok := userOf(u); ok {
			c.user = access.UnixUser(uid)
			c.peer = c.user
		}
	} else {
		c.peer = wire.Peer(raw.RemoteAddr().String(), p.ipv6Bits)
	}
	p.mu.Lock()
	c.refused = p.addTo(c.peer)
	oldest := p.keepRefused(c)
	p.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
	return c
}

// addTo counts one more connection of a peer. If the peer already has the allowed number, addTo
// does not count the connection and returns an error that names the limit.
func (p *Peers) addTo(peer string) error {
	if p.maxPerPeer > 0 && p.open[peer] >= p.maxPerPeer {
		return fmt.Errorf("%w: %d connections are open from %s, the most one peer may have", domain.ErrLimit, p.maxPerPeer, peer)
	}
	p.open[peer]++
	return nil
}

// keepRefused adds c to the refused connections if c exceeds a limit. If there are now too many
// refused connections, it returns the oldest one, which the caller must close.
func (p *Peers) keepRefused(c *Conn) (oldest *Conn) {
	if c.refused == nil {
		return nil
	}
	if len(p.refused) == MaxRefused {
		oldest = p.refused[0]
	}
	p.refused = append(p.refused, c)
	return oldest
}

// removeConn removes c from the count of its peer or, if c is refused, from the refused
// connections.
func (p *Peers) removeConn(c *Conn) {
	if c.refused != nil {
		p.refused = slices.DeleteFunc(p.refused, func(other *Conn) bool { return other == c })
		return
	}
	if p.open[c.peer]--; p.open[c.peer] == 0 {
		delete(p.open, c.peer)
	}
}

// Conn is a connection that a Peers counts.
type Conn struct {
	net.Conn
	peers *Peers
	unix  bool   // true if the connection came over the unix socket
	user  string // identity of the user at the other end of a unix socket; may be empty
	// judged is what the latest access policy says of the identity that the connection has shown.
	judged atomic.Pointer[judged]

	// peers.mu guards the fields below.
	peer       string // peer for which the connection is counted
	identity   string // identity in the verified certificate of the peer; empty before identify is called
	refused    error  // error that names the exceeded limit; nil if no limit is exceeded
	closed     bool
	afterClose []func() // functions that the first call of Close calls
}

// Refused returns an error that names the limit that the connection exceeds, or nil.
func (c *Conn) Refused() error {
	c.peers.mu.Lock()
	defer c.peers.mu.Unlock()
	return c.refused
}

// Verified counts the connection for the identity in a verified certificate of its peer, and no longer
// for the network of its peer. Only the first call has an effect. Refused then returns an error if the
// connection exceeds a limit.
func (c *Conn) Verified(cert *x509.Certificate) {
	c.peers.mu.Lock()
	known := c.identity != ""
	c.peers.mu.Unlock()
	if !known {
		_ = c.identify(identityOf(cert)) // the method Refused returns the error
	}
}

// identify counts the connection for the verified identity of its peer, and no longer for the
// network of its peer. It returns an error if the connection exceeds a limit or is closed.
func (c *Conn) identify(identity string) error {
	oldest, err := c.recount(identity)
	if oldest != nil {
		_ = oldest.Close()
	}
	return err
}

func (c *Conn) recount(identity string) (oldest *Conn, err error) {
	p := c.peers
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	c.identity = identity
	err = p.addTo(identity)
	p.removeConn(c)
	if c.refused = err; err == nil {
		c.peer = identity
	}
	return p.keepRefused(c), err
}

// Close closes the connection and removes it from the number of open connections of its peer.
func (c *Conn) Close() error {
	for _, f := range c.markClosed() {
		f()
	}
	return c.Conn.Close()
}

// markClosed marks the connection as closed. The first call returns the functions that Close must
// call; later calls return nil.
func (c *Conn) markClosed() (afterClose []func()) {
	c.peers.mu.Lock()
	defer c.peers.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.peers.removeConn(c)
	afterClose, c.afterClose = c.afterClose, nil
	return afterClose
}

// AfterClose arranges that f is called when the connection is closed. If it is already closed,
// AfterClose calls f at once.
func (c *Conn) AfterClose(f func()) {
	c.peers.mu.Lock()
	closed := c.closed
	if !closed {
		c.afterClose = append(c.afterClose, f)
	}
	c.peers.mu.Unlock()
	if closed {
		f()
	}
}

// RemoteAddr returns the address of the peer, as a wire.PeerAddr.
func (c *Conn) RemoteAddr() net.Addr {
	c.peers.mu.Lock()
	defer c.peers.mu.Unlock()
	return peerAddr{Addr: c.Conn.RemoteAddr(), conn: c, identity: c.identity}
}

// peerAddr is the remote address of a Conn. gRPC calls RemoteAddr after the handshake, so the
// address can contain the identity of the peer.
type peerAddr struct {
	net.Addr
	conn     *Conn
	identity string // identity in the verified certificate of the peer; empty if there is none
}

var _ wire.PeerAddr = peerAddr{}

// Peer returns the peer for which the connection is counted.
func (a peerAddr) Peer() string {
	a.conn.peers.mu.Lock()
	defer a.conn.peers.mu.Unlock()
	return a.conn.peer
}

// AfterClose arranges that f is called when the connection is closed. If it is already closed,
// AfterClose calls f at once.
func (a peerAddr) AfterClose(f func()) { a.conn.AfterClose(f) }
