package follow

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc/credentials"
)

// dialRecorder keeps details of an attempt to connect that gRPC does not return. These are
// the last error of the network or of the handshake, a TLS alert after the handshake, and
// the last network connection.
type dialRecorder struct {
	plain bool // the attempt to connect uses no TLS

	mu   sync.Mutex
	err  error
	conn *trackedConn
	info credentials.AuthInfo // of the last handshake; nil if there was none
}

// dialled records the result of a network dial, and returns it. A connection is returned as a
// trackedConn.
func (c *dialRecorder) dialled(conn net.Conn, err error) (net.Conn, error) {
	c.setError(err)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = newTrackedConn(conn, c.plain)
	return c.conn, nil
}

// lastConn returns the last network connection, or nil.
func (c *dialRecorder) lastConn() *trackedConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

// lastInfo returns what the last handshake has found, or nil.
func (c *dialRecorder) lastInfo() credentials.AuthInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

func (c *dialRecorder) setInfo(info credentials.AuthInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info = info
}

func (c *dialRecorder) setError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// errorOr returns the recorded error. If no error was recorded, it returns its argument.
func (c *dialRecorder) errorOr(other error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return other
}

// trackedConn is a network connection whose method Close also closes a Go channel, which is the
// field closed. gRPC calls Close before it ends the calls on a broken connection. So a caller
// whose call has failed can see at once whether the connection has broken. A stats handler
// would learn of the break only later. trackedConn also keeps the first two bytes that were
// read.
type trackedConn struct {
	net.Conn
	plain  bool          // the connection uses no TLS
	closed chan struct{} // closed by the method Close
	once   sync.Once
	// head holds the first bytes that were read. Its upper 16 bits are the number of these
	// bytes, at most 2. Its lower 16 bits are the bytes, the first one in the higher half.
	// Only Read writes head.
	head atomic.Uint32
}

func newTrackedConn(c net.Conn, plain bool) *trackedConn {
	return &trackedConn{Conn: c, plain: plain, closed: make(chan struct{})}
}

// Read implements net.Conn. It must not be called concurrently. It fails as soon as TLS
// arrives on a plaintext connection, because gRPC would wait for more bytes.
func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for i := 0; i < n && c.headLen() < 2; i++ {
		c.head.Store((c.headLen()+1)<<16 | c.head.Load()<<8&0xff00 | uint32(b[i]))
	}
	if c.plain && c.readTLS() {
		return 0, errSpeaksTLS
	}
	return n, err
}

func (c *trackedConn) headLen() uint32 { return c.head.Load() >> 16 }

// The values of trackedConn.head if the first two bytes begin a TLS record. These bytes are the
// type of the record and the number 3, with which every TLS version begins.
const (
	tlsAlert     = 2<<16 | 0x15_03
	tlsHandshake = 2<<16 | 0x16_03
)

// readTLS reports whether the first bytes that came on the connection begin a TLS record.
func (c *trackedConn) readTLS() bool {
	head := c.head.Load()
	return head == tlsAlert || head == tlsHandshake
}

// readNothing reports whether no byte has come on the connection.
func (c *trackedConn) readNothing() bool { return c.head.Load() == 0 }

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// recordingCredentials are credentials that record the errors of handshakes, and the TLS alerts
// that come after a handshake.
type recordingCredentials struct {
	credentials.TransportCredentials
	recorder *dialRecorder
}

func (c recordingCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, conn)
	c.recorder.setError(err)
	c.recorder.setInfo(info)
	if err != nil || c.recorder.plain {
		return conn, info, err
	}
	return &alertConn{conn, c.recorder}, info, nil
}

func (c recordingCredentials) Clone() credentials.TransportCredentials {
	return recordingCredentials{c.TransportCredentials.Clone(), c.recorder}
}

// alertConn is a TLS connection that records the alert by which the target ended it. In
// TLS 1.3, the target verifies the certificate of the coordinator after the coordinator's
// handshake has ended. So the alert may arrive after the coordinator has begun to send.
type alertConn struct {
	net.Conn
	recorder *dialRecorder
}

// Read implements net.Conn.
func (c *alertConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.recordAlert(err)
	return n, err
}

// Write implements net.Conn. After a failed write, Write reads the bytes that the target sent
// before it closed the connection, because they may contain an alert. This read does not
// block.
func (c *alertConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		var rest [512]byte
		for failed := error(nil); failed == nil; {
			_, failed = c.Read(rest[:])
		}
	}
	return n, err
}

func (c *alertConn) recordAlert(err error) {
	if err != nil && strings.Contains(err.Error(), "remote error: tls: ") { // crypto/tls does not export the alert type
		c.recorder.setError(err)
	}
}
