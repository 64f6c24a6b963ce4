package httprpc

import (
	"context"
	"errors"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// stream is a grpc.ServerStream whose messages are sent over HTTP. If the client does not read, so
// that a message cannot be sent for wire.SendTimeout, the call ends.
type stream struct {
	ctx     context.Context
	conn    connect.StreamingHandlerConn
	control *http.ResponseController
}

func newStream(ctx context.Context, conn connect.StreamingHandlerConn) *stream {
	control, _ := ctx.Value(controlKey{}).(*http.ResponseController)
	return &stream{ctx, conn, control}
}

// Context implements grpc.ServerStream.
func (s *stream) Context() context.Context { return s.ctx }

// SendMsg implements grpc.ServerStream.
func (s *stream) SendMsg(m any) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(wire.SendTimeout)); err != nil {
		return err
	}
	if err := s.conn.Send(m); err != nil {
		return err
	}
	// HTTP/2 ends a stream when the deadline passes, even if nothing is to be written.
	return s.control.SetWriteDeadline(time.Time{})
}

// close must be called before the end of the stream is written.
func (s *stream) close() { _ = s.control.SetWriteDeadline(time.Now().Add(wire.SendTimeout)) }

// RecvMsg implements grpc.ServerStream. It always returns an error, because the request was read
// before.
func (s *stream) RecvMsg(any) error { return errors.ErrUnsupported }

// SetHeader implements grpc.ServerStream. Calls over HTTP have no gRPC metadata.
func (s *stream) SetHeader(metadata.MD) error { return errors.ErrUnsupported }

// SendHeader implements grpc.ServerStream. Calls over HTTP have no gRPC metadata.
func (s *stream) SendHeader(metadata.MD) error { return errors.ErrUnsupported }

// SetTrailer implements grpc.ServerStream. Calls over HTTP have no gRPC metadata.
func (s *stream) SetTrailer(metadata.MD) {}

// transport is the grpc.ServerTransportStream of a call over HTTP. It knows only the full name of the
// method.
type transport string

// Method implements grpc.ServerTransportStream.
func (t transport) Method() string { return string(t) }

// SetHeader implements grpc.ServerTransportStream. Calls over HTTP have no gRPC metadata.
func (transport) SetHeader(metadata.MD) error { return errors.ErrUnsupported }

// SendHeader implements grpc.ServerTransportStream. Calls over HTTP have no gRPC metadata.
func (transport) SendHeader(metadata.MD) error { return errors.ErrUnsupported }

// SetTrailer implements grpc.ServerTransportStream. Calls over HTTP have no gRPC metadata.
func (transport) SetTrailer(metadata.MD) error { return errors.ErrUnsupported }
