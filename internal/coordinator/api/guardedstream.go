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
	lost   atomic.Bool   // true if the caller no longer has these rights; then nothing more is sent
	ended  chan struct{} // closed when the handler has returned
}

// Context returns the context of the stream. It ends when the rights of the caller change.
func (g *guardedStream) Context() context.Context { return g.ctx }

// SendMsg sends a message, unless the rights of the caller have changed.
func (g *guardedStream) SendMsg(m any) error {
	if g.lost.Load() {
		return wire.GRPC(errRightsChanged)
	}
	return g.ServerStream.SendMsg(m)
}

// close closes the connection of a stream that did not end, and waits until its handler has returned.
func (g *guardedStream) close() {
	select {
	case <-g.ended:
		return
	default:
	}
	if p, ok := peer.FromContext(g.ServerStream.Context()); ok {
		if c := connOf(p); c != nil {
			_ = c.Close()
		}
	}
	<-g.ended
}
