package rpc

import (
	"net"
	"sync"
)

// limited counts connections by host. One too many is closed at once: before
// its handshake there is no way to say why.
type limited struct {
	net.Listener
	perHost int

	mu    sync.Mutex
	hosts map[string]int
}

func limit(l net.Listener, perHost int) net.Listener {
	if perHost <= 0 {
		return l
	}
	return &limited{Listener: l, perHost: perHost, hosts: map[string]int{}}
}

// Accept returns the next connection that is within the limit.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host := hostOf(conn.RemoteAddr())
		if l.enter(host) {
			return &counted{Conn: conn, leave: func() { l.leave(host) }}, nil
		}
		_ = conn.Close()
	}
}

func (l *limited) enter(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts[host] >= l.perHost {
		return false
	}
	l.hosts[host]++
	return true
}

func (l *limited) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts[host]--; l.hosts[host] == 0 {
		delete(l.hosts, host)
	}
}

// counted is a connection that is counted out once.
type counted struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close closes the connection.
func (c *counted) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
