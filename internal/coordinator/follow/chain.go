package follow

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/delay"
	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
)

// run connects to the target and follows the instance until ctx ends.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	if f.predecessor != nil {
		<-f.predecessor
	}
	f.link = f.pool.acquire(f.linkKey())
	defer func() { f.pool.release(f.link) }()
	shortStreams, seen := 0, f.link.attempts.Load()
	for ctx.Err() == nil {
		if key := f.linkKey(); key != f.link.key {
			f.pool.release(f.link)
			f.link = f.pool.acquire(key)
			seen = f.link.attempts.Load()
		}
		made := f.link.connect(ctx, seen)
		seen = max(seen, made.number)
		if made.err != nil {
			f.report(ctx, classifyDial(made.err), made.began)
			continue
		}
		began := time.Now()
		if f.gone != made.gone {
			f.gone, f.learnt.leaving = made.gone, false
			f.reportConnected(ctx, &made)
		}
		f.followOn(ctx, made.conn)
		shortStreams = inRow(shortStreams, time.Since(began) < shortLived)
		f.pauseAfterStream(ctx, streamPause(shortStreams, f.link.dialer.longest))
	}
}

// reportConnected tells the registry to which IP address the coordinator has connected, and what the connection
// proves about the endpoint of the instance.
func (f *follower) reportConnected(ctx context.Context, made *attempt) {
	if !made.peer.IsValid() {
		return
	}
	ev := mesh.Event{Kind: mesh.EventConnected, Peer: made.peer, Spec: f.spec}
	switch {
	case made.identity != "" && made.identity == f.spec.Registrant:
		ev.Proof = health.ProofIdentity
	case f.spec.Proof == health.ProofMissing && f.cfg.Placed != nil:
		ev.Proof = f.cfg.Placed(f.id, f.spec, made.peer)
	}
	f.observe(ctx, ev, time.Time{})
}

// pauseAfterStream waits for d before the next stream. It returns early if the connection
// breaks during the wait. If the connection is broken when the wait begins, pauseAfterStream
// waits for all of d, so that the rate of dials is bounded.
func (f *follower) pauseAfterStream(ctx context.Context, d time.Duration) {
	gone := f.gone
	select {
	case <-gone:
		gone = nil
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-gone:
	case <-ctx.Done():
	}
}

const (
	// shortLived is the duration below which a stream counts as short.
	shortLived = time.Second
	// firstPause is the longest pause between a first short stream and the next stream.
	firstPause = 100 * time.Millisecond
)

// streamPause returns how long to wait before the next stream, after n streams in a row that
// were shorter than shortLived. It returns 0 if n is 0. The pause after the first short stream
// is small, because the stream may have begun just before its connection ended.
func streamPause(n int, longest time.Duration) time.Duration {
	if n == 0 {
		return 0
	}
	most := delay.Doubled(firstPause, n-1, longest)
	return delay.Between(most/2, most, rand.Float64())
}

// followBy holds, for each protocol, the function that follows an instance by this protocol.
var followBy = [...]func(*follower, context.Context, *grpc.ClientConn) ended{
	protocolExtended: (*follower).followExtended,
	protocolStock:    (*follower).followStock,
	protocolPoll:     (*follower).followByPolls,
}

// followOn follows the instance on one connection. It tries the health protocols in order until
// the target answers by one of them. It returns when the follower stops using this protocol. If
// the target answers by no protocol, followOn reports to the registry why the last one failed.
func (f *follower) followOn(ctx context.Context, conn *grpc.ClientConn) {
	defer f.source.set(health.SourceNone)
	chain, first := f.learnt.plan(f.protocol, time.Now())
	var end ended
	for i := first; i < len(chain); i++ {
		end = followBy[chain[i]](f, ctx, conn)
		if ctx.Err() != nil || f.handleEnd(ctx, conn, &end, i == 0, i == len(chain)-1) {
			return
		}
		f.learnt.passOver(&end, i == 0, time.Now())
	}
	if end.found.waited {
		f.link.callMissed(conn)
	}
	f.report(ctx, end.evidence(), end.since)
}

// handleEnd is called when the follower stops using a health protocol; end says why. first and
// last are true for the first and the last protocol in the list of protocols to try. done is
// true if no other protocol must be tried on this connection.
func (f *follower) handleEnd(ctx context.Context, conn *grpc.ClientConn, end *ended, first, last bool) (done bool) {
	switch {
	case errors.Is(end.err, errStranger):
		f.learnt.ownConn = true // the target needs its own connection, because the shared one leads to another process
		f.observe(ctx, mesh.Event{Kind: mesh.EventStranger, Reason: errStranger.Error()}, time.Time{})
	case errors.Is(end.err, errFlood):
		f.handleFlood()
	case errors.Is(end.err, errNoRoom) && f.learnt.canMove():
		f.learnt.move(f.pool.hasOneUser(f.link))
	case f.connBroken(conn):
		if f.learnt.connectionLost(end, last) {
			f.report(ctx, end.found, end.since)
		}
	case end.answered:
		f.learnt.protocolWorked(end, first)
	default:
		return false
	}
	return true
}

// handleFlood records that the target sent more messages than Config.Budgets permits. From now
// on the target is polled, until its status has stayed the same for the time wire.FloodQuiet.
func (f *follower) handleFlood() {
	if f.learnt.flood.began(time.Now()) {
		f.cfg.Logger.Warn("an instance sends more messages than its budget; it is polled every second until it is quiet",
			"name", f.id.String(), "address", f.spec.Address)
	}
}
