//go:build e2e || soak

package xds

import (
	"net"
	"sync"
	"testing"
)

// proxy forwards TCP connections to an address. While it is frozen, it forwards no byte, and new
// connections get no answer. Nobody learns that: a frozen proxy is a network that loses all packets.
type proxy struct {
	listener net.Listener
	to       string

	mu     sync.Mutex
	open   sync.Cond // the gate has opened, or the proxy has closed
	frozen bool
	closed bool
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{listener: listen(t), to: to, conns: map[net.Conn]struct{}{}}
	p.open.L = &p.mu
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) freeze(frozen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = frozen
	p.open.Broadcast()
}

// pass waits while the proxy is frozen. It returns false if the proxy is closed.
func (p *proxy) pass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.frozen && !p.closed {
		p.open.Wait()
	}
	return !p.closed
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.forward(in) })
	}
}

func (p *proxy) forward(in net.Conn) {
	defer p.forget(in)
	if !p.keep(in) || !p.pass() {
		return
	}
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer p.forget(out)
	if !p.keep(out) {
		return
	}
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		wg.Go(func() { p.copy(way[0], way[1]) })
	}
	wg.Wait()
}

// copy copies one direction. At the end of it both connections end.
func (p *proxy) copy(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	for buffer := make([]byte, 16<<10); ; {
		n, err := from.Read(buffer)
		if !p.pass() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// keep makes the proxy close the connection when it is closed.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
	return !p.closed
}

func (p *proxy) forget(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.open.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}
