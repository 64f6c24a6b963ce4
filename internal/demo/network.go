package demo

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
)

// network is the network between the coordinator and the instances of one zone. All connections
// between them pass through its forwarders. While the network is cut, it transports no byte, and
// says nothing about that to either end, as a broken router does. Bytes that were sent meanwhile
// arrive when it works again.
type network struct {
	ending    chan struct{} // closed by close
	forwarder sync.WaitGroup

	mu      sync.Mutex
	isCut   bool
	works   chan struct{} // closed while the network works
	closed  bool
	closers []io.Closer // the open listeners and connections
}

func newNetwork() *network {
	n := &network{works: make(chan struct{}), ending: make(chan struct{})}
	close(n.works)
	return n
}

// cut cuts the network.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.isCut {
		n.isCut, n.works = true, make(chan struct{})
	}
}

// join makes a network that was cut work again.
func (n *network) join() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.isCut {
		n.isCut = false
		close(n.works)
	}
}

// close closes all connections and waits for the end of all goroutines of the network.
func (n *network) close() {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		close(n.ending)
	}
	for _, c := range n.closers {
		_ = c.Close()
	}
	n.closers = nil
	n.mu.Unlock()
	n.forwarder.Wait()
}

// forward opens a port and forwards its connections to the address to. It returns the HOST:PORT of
// the port.
func (n *network) forward(to string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	if !n.adopt(l) {
		return "", errors.Join(net.ErrClosed, l.Close())
	}
	n.forwarder.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.forwarder.Go(func() { n.serve(c, to) })
		}
	})
	return l.Addr().String(), nil
}

// serve forwards one connection until either end closes it.
func (n *network) serve(c net.Conn, to string) {
	defer c.Close() //nolint:errcheck // nothing is lost: both directions have ended
	if !n.adopt(c) {
		return
	}
	defer n.forget(c)
	if !n.wait() {
		return
	}
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close() //nolint:errcheck // nothing is lost: both directions have ended
	if !n.adopt(far) {
		return
	}
	defer n.forget(far)
	var back sync.WaitGroup
	back.Go(func() { n.carry(c, far) })
	n.carry(far, c)
	back.Wait()
}

// carry copies bytes from one connection to another, while the network works. It closes both at
// its end, which also ends the other direction.
func (n *network) carry(to, from net.Conn) {
	defer to.Close()   //nolint:errcheck // the connection has ended
	defer from.Close() //nolint:errcheck // the connection has ended
	buffer := make([]byte, 16<<10)
	for {
		read, err := from.Read(buffer)
		if !n.wait() {
			return
		}
		if _, writeErr := to.Write(buffer[:read]); err != nil || writeErr != nil {
			return
		}
	}
}

// wait waits until the network works. It returns false if the network is closed.
func (n *network) wait() bool {
	n.mu.Lock()
	works := n.works
	n.mu.Unlock()
	select {
	case <-n.ending:
		return false
	case <-works:
		return true
	}
}

// adopt makes close close c. It returns false if the network is already closed.
func (n *network) adopt(c io.Closer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.closers = append(n.closers, c)
	return true
}

func (n *network) forget(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closers = slices.DeleteFunc(n.closers, func(other io.Closer) bool { return other == c })
}
