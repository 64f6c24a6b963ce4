package client

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// lines are the open connections, and when something was last heard on each.
//
// A peer that vanishes leaves a connection that looks open for a quarter of an
// hour, and gRPC would put every new call on it. So whoever has waited in vain
// cuts those that have been silent meanwhile; one on which others are being
// answered stays.
type lines struct {
	start time.Time
	mu    sync.Mutex
	open  map[*line]bool
}

func newLines() *lines { return &lines{start: time.Now(), open: map[*line]bool{}} }

// cut closes the connections on which nothing was heard for so long.
func (l *lines) cut(silence time.Duration) {
	limit := time.Since(l.start) - silence
	for _, c := range l.silent(limit) {
		_ = c.Close() // it is being given up; nobody could do anything about an error
	}
}

func (l *lines) silent(limit time.Duration) []*line {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []*line
	for c := range l.open {
		if time.Duration(c.heard.Load()) <= limit {
			found = append(found, c)
		}
	}
	return found
}

func (l *lines) add(conn net.Conn) *line {
	c := &line{Conn: conn, lines: l}
	c.hear()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = true
	return c
}

func (l *lines) remove(c *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// line is one connection.
type line struct {
	net.Conn
	lines *lines
	heard atomic.Int64 // since lines.start
}

func (c *line) hear() { c.heard.Store(int64(time.Since(c.lines.start))) }

// Read notes that something came.
func (c *line) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.hear()
	}
	return n, err
}

// Close forgets the connection.
func (c *line) Close() error {
	c.lines.remove(c)
	return c.Conn.Close()
}

// listening are credentials that note the connections they secure. Unlike a
// dialer they can be put around whatever the caller has chosen.
type listening struct {
	credentials.TransportCredentials
	lines *lines
}

// ClientHandshake does the handshake on a connection that is listened to.
func (l listening) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := l.lines.add(raw)
	conn, info, err := l.TransportCredentials.ClientHandshake(ctx, authority, c)
	if err != nil {
		l.lines.remove(c) // gRPC closes what it gave us
	}
	return conn, info, err
}

// Clone returns a copy that listens too.
func (l listening) Clone() credentials.TransportCredentials {
	return listening{l.TransportCredentials.Clone(), l.lines}
}
