package testmesh

import (
	"context"
	"net"
	"sync"
	"syscall"

	"google.golang.org/grpc/test/bufconn"
)

// network is where every address of a mesh lives.
type network struct {
	mu    sync.Mutex
	hosts map[string]*host
}

// host is one address. Nobody listens there until it is opened.
type host struct {
	mu       sync.Mutex
	listener *bufconn.Listener
	conns    map[*conn]bool
	gate     chan struct{} // closed while traffic flows
}

func newNetwork() *network { return &network{hosts: map[string]*host{}} }

func (n *network) host(address string) *host {
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

// dial connects to an address, as TCP would: nobody listens, it is refused; it
// hangs, there is no answer.
func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	h := n.host(address)
	if err := h.pass(ctx); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	h.mu.Lock()
	l := h.listener
	h.mu.Unlock()
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

// open listens.
func (h *host) open() net.Listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listener = bufconn.Listen(1 << 20)
	return h.listener
}

// kill ends the listener and every connection at once, as the end of a process
// does.
func (h *host) kill() {
	h.mu.Lock()
	conns, l := h.conns, h.listener
	h.conns, h.listener = map[*conn]bool{}, nil
	h.flow()
	h.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
	for c := range conns {
		_ = c.Conn.Close()
	}
}

// hang holds all traffic until resume.
func (h *host) hang() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gate = make(chan struct{})
}

func (h *host) resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flow()
}

// flow opens the gate, if it is not open.
func (h *host) flow() {
	select {
	case <-h.gate:
	default:
		close(h.gate)
	}
}

// pass waits until traffic flows.
func (h *host) pass(ctx context.Context) error {
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

// conn is one connection to a host, as the dialling side sees it.
type conn struct {
	net.Conn
	host *host
}

// Read reads what has come, once it may pass.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if passed := c.host.pass(context.Background()); passed != nil {
		return 0, passed
	}
	return n, err
}

// Close closes the connection.
func (c *conn) Close() error {
	c.host.mu.Lock()
	delete(c.host.conns, c)
	c.host.mu.Unlock()
	return c.Conn.Close()
}

// cut ends the connections that are open, and nothing else.
func (h *host) cut() {
	h.mu.Lock()
	conns := h.conns
	h.conns = map[*conn]bool{}
	h.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}
