package follow

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// link holds one connection, which all followers with the same linkKey share. If the
// connection has broken, the link dials again when a follower calls connect and the
// breaker permits an attempt. The link makes one attempt at a time. All followers that
// wait for an attempt receive its outcome.
type link struct {
	dialer *dialer
	key    linkKey
	users  int // number of followers that use the link; pool.mu guards it

	// turn is a lock for conn and last: the caller that has sent a token to turn owns both
	// fields. In contrast to the wait for a mutex, the wait for turn can end with a context.
	turn chan struct{}
	conn *grpc.ClientConn
	last attempt

	attempts atomic.Uint64

	mu      sync.Mutex
	breaker breaker
}

// attempt is the outcome of one attempt to connect: a ready connection, or an error. The
// error comes from the network or from the handshake, so that its type can be examined.
type attempt struct {
	dialled
	err   error
	began time.Time // time at which the dial began; zero if the address was not dialled
	// number is 1 for the first attempt of the link, 2 for the second, and so on. It is
	// 0 if no attempt was made.
	number uint64
}

// broken reports whether the connection that the attempt made has broken.
func (a *attempt) broken() bool {
	select {
	case <-a.gone:
		return true
	default:
		return a.conn.GetState() != connectivity.Ready
	}
}

// connect returns a ready connection, or the outcome of a failed attempt whose number is greater
// than lastSeen. If there is neither, connect makes an attempt. lastSeen is the number of the
// last attempt that the caller knows. All followers of the link receive the outcome of a
// failed attempt, because one connection would serve all of them.
func (e *link) connect(ctx context.Context, lastSeen uint64) attempt {
	for {
		made, wait := e.tryConnect(ctx, lastSeen)
		if wait <= 0 {
			return made
		}
		if err := pause(ctx, wait); err != nil {
			return attempt{err: err}
		}
	}
}

// tryConnect does the same as connect, but it does not wait for the breaker. wait is the time
// until the breaker permits an attempt. The caller must wait for this time and try again.
// During this wait the caller does not hold the lock in the field turn, so that other callers
// can read the last outcome.
func (e *link) tryConnect(ctx context.Context, lastSeen uint64) (made attempt, wait time.Duration) {
	if err := acquireToken(ctx, e.turn); err != nil {
		return attempt{err: err}, 0
	}
	defer func() { <-e.turn }()
	if e.conn != nil && !e.last.broken() || e.last.err != nil && e.last.number > lastSeen {
		return e.last, 0
	}
	if wait := e.breakerDelay(); wait > 0 {
		return attempt{}, wait
	}
	return e.redial(ctx), 0
}

func (e *link) breakerDelay() (d time.Duration) {
	e.withBreaker(func(b *breaker) { d = b.delay(time.Now()) })
	return d
}

// redial makes an attempt to connect as soon as a dial slot (a permit to dial) is free. If no
// slot becomes free in time, the coordinator is at fault. In this case the attempt does not
// count as a failure of the address.
func (e *link) redial(ctx context.Context) attempt {
	e.closeConn()
	waiting, cancel := context.WithTimeout(ctx, e.dialer.longest)
	free, err := e.dialer.slots.acquire(waiting, e.attemptBegins())
	cancel()
	if err != nil && ctx.Err() == nil {
		e.withBreaker((*breaker).attemptAbandoned)
		return e.setLast(attempt{err: errCrowded, number: e.attempts.Add(1)})
	}
	if err != nil {
		return e.recordOutcome(ctx, attempt{err: err})
	}
	made := attempt{began: time.Now()}
	made.dialled, made.err = e.dialer.dial(ctx, e.key, e.last.err)
	free()
	return e.recordOutcome(ctx, made)
}

func (e *link) attemptBegins() (redial bool) {
	e.withBreaker(func(b *breaker) { redial = b.attemptBegins() })
	return redial
}

// recordOutcome stores the outcome of an attempt and reports it to the breaker. If ctx has
// ended, it stores nothing, because the caller has given up the attempt.
func (e *link) recordOutcome(ctx context.Context, made attempt) attempt {
	if err := ctx.Err(); err != nil {
		if made.conn != nil {
			_ = made.conn.Close()
		}
		e.withBreaker((*breaker).attemptAbandoned)
		return attempt{err: err}
	}
	made.number = e.attempts.Add(1)
	e.setLast(made)
	e.withBreaker(func(b *breaker) {
		if made.err != nil {
			b.attemptFailed(time.Now(), failureKind(made.err), rand.Float64())
		} else {
			b.reset()
		}
	})
	return made
}

// setLast sets and returns the last attempt. The caller must hold the lock in the field turn.
func (e *link) setLast(made attempt) attempt {
	e.last, e.conn = made, made.conn
	return made
}

// failureKind returns the kind of failure that the breaker records for an error of a dial.
func failureKind(err error) failure {
	switch f := classifyDial(err); {
	case f.kind == connRefused:
		return failedRefused
	case f.kind == pathFault && !f.waited:
		return failedBroken
	case f.kind == ownFault:
		return notTried
	}
	return failedOtherwise
}

// withBreaker calls f under the lock of the breaker.
func (e *link) withBreaker(f func(*breaker)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f(&e.breaker)
}

func (e *link) breakerState() (s breakerState) {
	e.withBreaker(func(b *breaker) { s = b.state() })
	return s
}

// callAnswered records that an instance at the link has answered a call.
func (e *link) callAnswered() { e.withBreaker(func(b *breaker) { b.misses = 0 }) }

// callMissed records that a call over conn was not answered in time. After several such
// calls it closes conn for all followers. The next attempt shows at once whether the target
// can be reached, while TCP would retransmit for minutes.
func (e *link) callMissed(conn *grpc.ClientConn) {
	if conn.GetState() != connectivity.Ready {
		return // gRPC has already found that the connection is broken
	}
	opens := false
	e.withBreaker(func(b *breaker) { opens = b.callMissed(time.Now(), rand.Float64()) })
	if opens {
		_ = conn.Close()
	}
}

// closeConn closes the connection, if there is one. The caller must hold the lock in the field
// turn.
func (e *link) closeConn() {
	if e.conn != nil {
		_ = e.conn.Close()
		e.conn = nil
	}
}

// pause waits for d. It returns the error of ctx if ctx ends first.
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
