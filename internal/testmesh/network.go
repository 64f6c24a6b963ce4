package testmesh

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"google.golang.org/grpc/test/bufconn"
)

// coordinatorAddress is the address of the coordinator of each mesh.
const coordinatorAddress = "127.0.0.1:7070"

// Network is the in-memory network of a mesh, which can refuse, hang and break connections.
// Its methods may be called concurrently.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*host
}

// host is everything at one address of the network. It refuses connections until its method
// open is called.
type host struct {
	mu       sync.Mutex
	listener *bufconn.Listener
	conns    map[*conn]bool
	gate     chan struct{} // a channel that is closed, except while all traffic hangs
	fault    error         // the error that every dial returns; nil if dials work
}

// NewNetwork returns a network without listeners: all addresses refuse connections.
func NewNetwork() *Network { return &Network{hosts: map[string]*host{}} }

// Listen returns a listener that accepts the connections to an address, which may be any text.
func (n *Network) Listen(address string) net.Listener { return n.host(address).open() }

// Kill closes the listener and all connections of an address at once, as if the process at this
// address had died.
func (n *Network) Kill(address string) { n.host(address).kill() }

// Cut closes the open connections to an address. New connections are still accepted.
func (n *Network) Cut(address string) { n.host(address).cut() }

// Hang stops all traffic to and from an address, including dials, until Resume or Kill.
func (n *Network) Hang(address string) { n.host(address).hang() }

// Resume lets the traffic of an address continue after Hang.
func (n *Network) Resume(address string) { n.host(address).resume() }

// Fail makes every dial to an address fail with err. If err is nil, dials work again.
func (n *Network) Fail(address string, err error) { n.host(address).fail(err) }

func (n *Network) host(address string) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[address]
	if h == nil {
		h = &host{conns: map[*conn]bool{}, gate: make(chan struct{})}
		close(h.gate)
		n.hosts[address] = h
	}
	return h
}

// Dial connects to an address, with the same errors as TCP. Without a listener the connection
// is refused. If the address hangs, Dial waits for Resume, Kill or the end of ctx.
func (n *Network) Dial(ctx context.Context, address string) (net.Conn, error) {
	h := n.host(address)
	if err := h.waitForTraffic(ctx); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	h.mu.Lock()
	l, fault := h.listener, h.fault
	h.mu.Unlock()
	if fault != nil {
		return nil, fault
	}
	if l == nil {
		return nil, refused()
	}
	raw, err := l.DialContext(ctx)
	if err != nil {
		return nil, refused()
	}
	c := &conn{Conn: raw, host: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c] = true
	return c, nil
}

func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// open makes the host accept connections, and returns its listener.
func (h *host) open() net.Listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listener = bufconn.Listen(1 << 20)
	return h.listener
}

// kill closes the listener and all connections of the host. Traffic that hangs ends too.
func (h *host) kill() {
	h.mu.Lock()
	conns, l := h.conns, h.listener
	h.conns, h.listener = map[*conn]bool{}, nil
	h.openGate()
	h.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
	for c := range conns {
		_ = c.Conn.Close()
	}
}

// hang stops all traffic of the host until resume or kill is called.
func (h *host) hang() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gate = make(chan struct{})
}

func (h *host) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = err
}

func (h *host) resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.openGate()
}

// openGate lets the traffic of the host flow, if it hangs. The caller must hold h.mu.
func (h *host) openGate() {
	select {
	case <-h.gate:
	default:
		close(h.gate)
	}
}

// waitForTraffic waits until the traffic of the host does not hang.
func (h *host) waitForTraffic(ctx context.Context) error {
	h.mu.Lock()
	gate := h.gate
	h.mu.Unlock()
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// conn is the dialling side of a connection to a host.
type conn struct {
	net.Conn
	host *host
}

// Read implements net.Conn. While the host hangs, Read does not return.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if passed := c.host.waitForTraffic(context.Background()); passed != nil {
		return 0, passed
	}
	return n, err
}

// Write implements net.Conn. It returns the same error as TCP if the other side has closed the
// connection. Bytes that the other side has sent can still be read.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	}
	return n, err
}

// Close implements net.Conn. It also removes the connection from its host.
func (c *conn) Close() error {
	c.host.mu.Lock()
	delete(c.host.conns, c)
	c.host.mu.Unlock()
	return c.Conn.Close()
}

// cut closes the open connections of the host. The host still accepts new connections.
func (h *host) cut() {
	h.mu.Lock()
	conns := h.conns
	h.conns = map[*conn]bool{}
	h.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}
