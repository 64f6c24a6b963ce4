package watch

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// place is what makes a connection one that can be shared.
type place struct {
	address, serverName string
	credentials         string // whose; empty: everybody's
}

// endpoint is the one connection to a place, dialled anew when somebody needs
// it and it is gone. Attempts are made one at a time; who waits meanwhile gets
// the same outcome.
type endpoint struct {
	pool  *pool
	place place
	users int // guarded by pool.mu

	turn chan struct{} // whoever holds its token owns what follows
	conn *grpc.ClientConn
	last struct {
		at  time.Time
		err error
	}
	failures int
}

const (
	// secondDial is when a refusal is looked at again: a second later, so that
	// both count.
	secondDial = 1100 * time.Millisecond
	// maxRedial is when it is dialled again however often that was in vain: sooner
	// where UnreachableAfter is shorter, which is what a guard that lets go gives
	// everybody to be heard.
	maxRedial = 15 * time.Second
)

// connect returns a connection that is ready. The error is the network's own,
// not gRPC's text of it.
func (e *endpoint) connect(ctx context.Context) (*grpc.ClientConn, error) {
	asked := time.Now()
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if e.conn != nil && e.conn.GetState() == connectivity.Ready {
		return e.conn, nil
	}
	if e.last.err != nil && e.last.at.After(asked) {
		return nil, e.last.err
	}
	if err := pause(ctx, e.redialIn()); err != nil {
		return nil, err
	}
	return e.redial(ctx)
}

// redialIn returns how long to wait: not at all the first time, then a second,
// then longer and longer.
func (e *endpoint) redialIn() time.Duration {
	if e.failures == 0 {
		return 0
	}
	wait := secondDial
	for range min(e.failures-1, 8) {
		wait = min(wait*3/2, max(secondDial, e.pool.pace(maxRedial)))
	}
	if e.failures > 1 {
		wait += time.Duration(rand.Int64N(int64(wait)/4 + 1))
	}
	return wait - time.Since(e.last.at)
}

func (e *endpoint) redial(ctx context.Context) (*grpc.ClientConn, error) {
	e.drop()
	conn, err := e.attempt(ctx)
	if ctx.Err() != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, ctx.Err()
	}
	e.last.at, e.last.err = time.Now(), err
	if err != nil {
		e.failures++
		return nil, err
	}
	e.conn, e.failures = conn, 0
	return conn, nil
}

// attempt makes one connection. A new gRPC channel for each keeps gRPC's own
// back-off out of it: only we decide when to dial.
func (e *endpoint) attempt(ctx context.Context) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, e.pool.patient(dialTimeout))
	defer cancel()
	var seen capture
	options := append(wire.DialOptions(wire.MaxHealthReply),
		grpc.WithTransportCredentials(capturing{e.pool.credentials(e.place.credentials), &seen}),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := e.pool.dial(ctx, address)
			seen.note(err)
			return conn, err
		}))
	options = append(options, e.pool.options...)
	if e.place.serverName != "" {
		options = append(options, grpc.WithAuthority(e.place.serverName))
	}
	conn, err := grpc.NewClient("passthrough:///"+e.place.address, options...)
	if err != nil {
		return nil, err
	}
	if err := ready(ctx, conn); err != nil {
		_ = conn.Close()
		return nil, seen.or(err)
	}
	return conn, nil
}

// ready waits until conn is, or has failed.
func ready(ctx context.Context, conn *grpc.ClientConn) error {
	conn.Connect()
	for {
		switch s := conn.GetState(); s {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return whyNot(ctx, conn)
		default:
			if !conn.WaitForStateChange(ctx, s) {
				return ctx.Err()
			}
		}
	}
}

// whyNot asks gRPC for the text of a failure that neither the dialer nor the
// handshake has seen, such as an answer that is not HTTP/2. A call on a failed
// channel is answered at once, with that.
func whyNot(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{}, "/meshhealth.v1.HealthService/Check")
	if err == nil {
		err = errors.Join(errors.New("the connection failed"), stream.CloseSend())
	}
	return err
}

func (e *endpoint) drop() {
	if e.conn != nil {
		_ = e.conn.Close()
		e.conn = nil
	}
}

// capture keeps the last error of the dialer or the handshake.
type capture struct {
	mu  sync.Mutex
	err error
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

// pause sleeps, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
