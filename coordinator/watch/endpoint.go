package watch

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// place is what makes a connection one that can be shared.
type place struct {
	address, serverName string
	credentials         string // whose; empty: everybody's
}

// endpoint is the one connection to a place, dialled anew when somebody needs
// it and it is gone. Attempts are made one at a time, when the breaker lets them;
// who waits meanwhile gets the same outcome.
type endpoint struct {
	pool  *pool
	place place
	users int // guarded by pool.mu

	turn chan struct{} // whoever holds its token owns what follows
	conn *grpc.ClientConn
	last attempt

	attempts atomic.Uint64

	mu      sync.Mutex
	breaker breaker
}

// attempt is what came of one: a connection that is ready, or the network's own
// error, not gRPC's text of it.
type attempt struct {
	conn  *grpc.ClientConn
	gone  <-chan struct{} // closed when conn has broken
	err   error
	began time.Time // the dial itself; zero if there was none
	// number counts those at an endpoint, from 1; 0 if there was none.
	number uint64
}

// broken reports whether it has broken since.
func (a *attempt) broken() bool {
	select {
	case <-a.gone:
		return true
	default:
		return a.conn.GetState() != connectivity.Ready
	}
}

// connect returns a connection that is there, or the outcome of the first
// attempt after the one with a number: of one that fails, all are told that it
// would have served.
func (e *endpoint) connect(ctx context.Context, after uint64) attempt {
	if err := enter(ctx, e.turn); err != nil {
		return attempt{err: err}
	}
	defer func() { <-e.turn }()
	if e.conn != nil && !e.last.broken() {
		return e.last
	}
	if e.last.err != nil && e.last.number > after {
		return e.last
	}
	if err := pause(ctx, e.wait()); err != nil {
		return attempt{err: err}
	}
	return e.redial(ctx)
}

func (e *endpoint) wait() (d time.Duration) {
	e.enter(func(b *breaker) { d = b.wait(time.Now()) })
	return d
}

// redial makes an attempt. It begins when there is a slot for it: until then we
// are the ones who make it wait.
func (e *endpoint) redial(ctx context.Context) attempt {
	e.drop()
	waiting, cancel := context.WithTimeout(ctx, e.pool.longest)
	free, err := e.pool.slots.take(waiting, e.begin())
	cancel()
	if err != nil && ctx.Err() == nil { // nobody's fault but ours
		e.enter(func(b *breaker) { b.abandoned() })
		e.last = attempt{err: errCrowded, number: e.attempts.Add(1)}
		return e.last
	}
	if err != nil {
		e.note(ctx, attempt{err: err})
		return attempt{err: err}
	}
	made := attempt{began: time.Now()}
	made.conn, made.gone, made.err = e.dial(ctx)
	free()
	return e.note(ctx, made)
}

// errCrowded is an attempt that was not made: too many others waited.
var errCrowded = errors.New("the coordinator has more to dial than it can, and has not dialled")

func (e *endpoint) begin() (again bool) {
	e.enter(func(b *breaker) { again = b.begin() })
	return again
}

// note keeps the outcome, unless nobody wants to know it any more.
func (e *endpoint) note(ctx context.Context, made attempt) attempt {
	if err := ctx.Err(); err != nil {
		if made.conn != nil {
			_ = made.conn.Close()
		}
		e.enter(func(b *breaker) { b.abandoned() })
		return attempt{err: err}
	}
	made.number = e.attempts.Add(1)
	e.last, e.conn = made, made.conn
	e.enter(func(b *breaker) {
		if made.err != nil {
			b.failed(time.Now(), howFailed(made.err), rand.Float64())
		} else {
			b.answered()
		}
	})
	return made
}

func howFailed(err error) failure {
	switch f := classifyDial(err); {
	case f.about == refusal:
		return failedRefused
	case f.about == path && !f.waited:
		return failedBroken
	case f.about == ourselves:
		return notTried
	}
	return failedOtherwise
}

// enter makes an entry in the breaker.
func (e *endpoint) enter(f func(*breaker)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f(&e.breaker)
}

// answered notes that somebody there has answered a call.
func (e *endpoint) answered() { e.enter(func(b *breaker) { b.misses = 0 }) }

// missed notes that a call over conn was not answered in time. After some of
// them conn is given up, for all who use it: the next attempt will tell whether
// anybody is there, and does not wait until TCP has got over what was lost.
func (e *endpoint) missed(conn *grpc.ClientConn) {
	if conn.GetState() != connectivity.Ready {
		return // it was given up already
	}
	opens := false
	e.enter(func(b *breaker) { opens = b.missed(time.Now(), rand.Float64()) })
	if opens {
		_ = conn.Close()
	}
}

// dial makes one connection. A new gRPC channel for each keeps gRPC's own
// back-off out of it: only we decide when to dial.
func (e *endpoint) dial(ctx context.Context) (*grpc.ClientConn, <-chan struct{}, error) {
	ctx, cancel := context.WithTimeout(ctx, e.pool.patient(dialTimeout))
	defer cancel()
	var seen capture
	options := append(wire.DialOptions(wire.MaxHealthReply),
		grpc.WithTransportCredentials(capturing{e.pool.credentials(e.place.credentials), &seen}),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := e.pool.dial(ctx, address)
			return seen.dialled(conn, err)
		}))
	options = append(options, e.pool.options...)
	if e.place.serverName != "" {
		options = append(options, grpc.WithAuthority(e.place.serverName))
	}
	conn, err := grpc.NewClient("passthrough:///"+e.place.address, options...)
	if err != nil {
		return nil, nil, err
	}
	if err := ready(ctx, conn); err != nil {
		_ = conn.Close()
		return nil, nil, seen.or(err)
	}
	return conn, seen.gone(), nil
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
