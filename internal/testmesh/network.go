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

// Network is the in-memory network of a mesh. Its methods may be called concurrently.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*host
}

// host is one address of the network. It refuses connections until open is called.
type host struct {
	mu       sync.Mutex
	listener *bufconn.Listener
	conns    map[*conn]bool
	gate     chan struct{} // closed while traffic flows
	fault    error         // the error of every dial, or nil
}

// NewNetwork returns a network without listeners.
func NewNetwork() *Network { return &Network{hosts: map[string]*host{}} }

// Listen returns a listener that accepts the connections to an address.
func (n *Network) Listen(address string) net.Listener { return n.host(address).open() }

// Kill closes the listener and all connections of an address at once, like the end of
// its process.
func (n *Network) Kill(address string) { n.host(address).kill() }

// Cut closes the open connections to an address. The listener stays.
func (n *Network) Cut(address string) { n.host(address).cut() }

// Hang stops all traffic to and from an address, including dials, until Resume or Kill.
func (n *Network) Hang(address string) { n.host(address).hang() }

// Resume continues the traffic of an address.
func (n *Network) Resume(address string) { n.host(address).resume() }

// Fail makes every dial to an address fail with err. Nil restores normal dials.
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

// Dial connects to an address like TCP. It is refused if nobody listens there. If the
// address hangs, Dial waits for Resume, Kill or the end of ctx.
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

// open starts to listen.
func (h *host) open() net.Listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listener = bufconn.Listen(1 << 20)
	return h.listener
}

// kill closes the listener and all connections, and ends a hang.
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

// hang stops all traffic until resume or kill.
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

// openGate opens the gate, if it is closed. The caller holds the lock.
func (h *host) openGate() {
	select {
	case <-h.gate:
	default:
		close(h.gate)
	}
}

// waitForTraffic waits until the host does not hang.
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

// conn is the dialling side of one connection to a host.
type conn struct {
	net.Conn
	host *host
}

// Read implements net.Conn. It returns after the host does not hang any more.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if passed := c.host.waitForTraffic(context.Background()); passed != nil {
		return 0, passed
	}
	return n, err
}

// Write implements net.Conn. It fails like TCP if the other side has closed. The bytes
// that the other side sent before can still be read.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.host.mu.Lock()
	delete(c.host.conns, c)
	c.host.mu.Unlock()
	return c.Conn.Close()
}

// cut closes the open connections.
func (h *host) cut() {
	h.mu.Lock()
	conns := h.conns
	h.conns = map[*conn]bool{}
	h.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}
