package api

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// errRightsChanged ends a stream whose caller has other rights than at its beginning.
var errRightsChanged = fmt.Errorf("%w: the access policy has changed, and your rights with it; subscribe again", domain.ErrNotAllowed)

// guardedStream is an open stream that ends when the rights of its caller change.
type guardedStream struct {
	grpc.ServerStream
	ctx    context.Context
	cancel context.CancelFunc
	rights *access.Rights
	lost   atomic.Bool   // true if the caller no longer has these rights; then no call of SendMsg begins to send
	sends  atomic.Bool   // true while SendMsg runs
	ended  chan struct{} // closed when the handler has returned
	// note tells a learner what the stream uses. It is nil if the handler has called noteStream not yet or never.
	note atomic.Pointer[func(*learner)]
}

// Context returns the context of the stream. It ends when the rights of the caller change.
func (g *guardedStream) Context() context.Context { return g.ctx }

// SendMsg sends a message, unless the rights of the caller have changed.
func (g *guardedStream) SendMsg(m any) error {
	g.sends.Store(true) // before lost is read, so that end sees each message that is still sent
	defer g.sends.Store(false)
	if g.lost.Load() {
		return wire.GRPC(errRightsChanged)
	}
	return g.ServerStream.SendMsg(m)
}

// end ends the call of a stream whose handler has not returned in time. If the handler waits for a client that
// does not read, end closes the connection of this client and waits until the handler has returned. Other
// streams of the connection end too. When end returns, nothing is sent any more.
func (g *guardedStream) end() {
	select {
	case <-g.ended:
		return
	default:
	}
	if !g.sends.Load() {
		endCall(grpc.ServerTransportStreamFromContext(g.ServerStream.Context()), errRightsChanged)
		return
	}
	if p, ok := peer.FromContext(g.ServerStream.Context()); ok {
		if c := connOf(p); c != nil {
			_ = c.Close()
		}
	}
	<-g.ended
}
