package watch

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
)

// capture keeps the last error of the dialer or the handshake, and the last
// connection.
type capture struct {
	mu   sync.Mutex
	err  error
	line *line
}

// dialled takes what the dialer has returned, and returns it.
func (c *capture) dialled(conn net.Conn, err error) (net.Conn, error) {
	c.note(err)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = newLine(conn)
	return c.line, nil
}

// gone is closed when the last connection is.
func (c *capture) gone() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line.gone
}

func (c *capture) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *capture) or(other error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return other
}

// capturing are credentials whose handshake errors are kept.
type capturing struct {
	credentials.TransportCredentials
	seen *capture
}

func (c capturing) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, conn)
	c.seen.note(err)
	return conn, info, err
}

func (c capturing) Clone() credentials.TransportCredentials {
	return capturing{c.TransportCredentials.Clone(), c.seen}
}
