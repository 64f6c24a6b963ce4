package watch

import (
	"net"
	"sync"
)

// line is a network connection that tells when it is closed, which gRPC does as
// soon as it finds it broken. Who only asks now and then would not know.
type line struct {
	net.Conn
	gone chan struct{}
	once sync.Once
}

func newLine(c net.Conn) *line { return &line{Conn: c, gone: make(chan struct{})} }

// Close implements net.Conn.
func (l *line) Close() error {
	l.once.Do(func() { close(l.gone) })
	return l.Conn.Close()
}
