package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// boundedServer is a gRPC server that limits three things for each method: the size of a request,
// the time until a request is complete, and the time until the client reads a message.
type boundedServer struct{ *grpc.Server }

// RegisterService registers a service. It adds the three limits of a boundedServer to all methods
// of the service.
func (b boundedServer) RegisterService(desc *grpc.ServiceDesc, impl any) {
	d := withStreams(desc, boundStream)
	d.Methods = slices.Clone(desc.Methods)
	for i := range d.Methods {
		m := &d.Methods[i]
		m.Handler = boundMethod("/"+d.ServiceName+"/"+m.MethodName, m.Handler)
	}
	b.Server.RegisterService(d, impl)
}

// withStreams returns a copy of desc in which each stream handler is replaced by the result of wrap.
func withStreams(desc *grpc.ServiceDesc, wrap func(method string, handler grpc.StreamHandler) grpc.StreamHandler) *grpc.ServiceDesc {
	d := *desc
	d.Streams = slices.Clone(desc.Streams)
	for i := range d.Streams {
		s := &d.Streams[i]
		s.Handler = wrap("/"+d.ServiceName+"/"+s.StreamName, s.Handler)
	}
	return &d
}

// boundMethod limits the size of the request of a unary method, and the time until it is complete.
// gRPC reads the request while the handler decodes it, so the time limit can be set in the handler.
// TestUnfinishedRequest checks that gRPC does so.
func boundMethod(method string, handler grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		limit := limitRequestTime(grpc.ServerTransportStreamFromContext(ctx))
		defer limit.Stop()
		bound := func(req any) error {
			if err := dec(req); err != nil {
				return err
			}
			limit.Stop()
			return checkSize(method, req)
		}
		return handler(srv, ctx, bound, interceptor)
	}
}

// boundStream adds the three limits of a boundedServer to a stream method.
func boundStream(method string, handler grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, ss grpc.ServerStream) error {
		s := &boundedStream{ServerStream: ss, method: method, transport: grpc.ServerTransportStreamFromContext(ss.Context())}
		s.ctx = wire.WithCall(ss.Context(), &s.call)
		if method != pb.RegistryService_Report_FullMethodName { // the method Report itself limits the time between messages
			s.requestLimit = limitRequestTime(s.transport)
			defer s.requestLimit.Stop()
		}
		return handler(srv, s)
	}
}

// limitRequestTime ends a call whose request is not complete after wire.RequestTimeout. The caller
// must stop the returned timer when the request is complete.
func limitRequestTime(s grpc.ServerTransportStream) *time.Timer {
	return time.AfterFunc(wire.RequestTimeout, func() {
		endCall(s, fmt.Errorf("%w: the request was not complete after %v", domain.ErrLimit, wire.RequestTimeout))
	})
}

// endCall ends a call with an error, even if the call waits for its client. It uses the method
// WriteStatus, which the stream types of grpc-go have but the interface ServerTransportStream does
// not declare. TestStuckWatchEnds checks that the stream types have it.
func endCall(s grpc.ServerTransportStream, err error) {
	if s, ok := s.(interface{ WriteStatus(*status.Status) error }); ok {
		_ = s.WriteStatus(status.Convert(wire.GRPC(err))) // WriteStatus fails only if the call has already ended
	}
}

// boundedStream is a stream with limits for its messages. At most one goroutine at a time may call
// RecvMsg, and at most one may call SendMsg.
type boundedStream struct {
	grpc.ServerStream
	ctx          context.Context
	call         wire.Call
	method       string
	transport    grpc.ServerTransportStream
	requestLimit *time.Timer // timer that ends the call if the first request takes too long; nil for Report
	sendLimit    *time.Timer // timer that ends the call if a send takes too long; nil before the first send
}

// Context returns the stream's context.
func (s *boundedStream) Context() context.Context { return s.ctx }

// RecvMsg receives a message. It returns an error if the message is too large.
func (s *boundedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if s.requestLimit != nil {
		s.requestLimit.Stop()
	}
	return checkSize(s.method, m)
}

// SendMsg sends a message. If the client does not read, so that the message cannot be sent for
// wire.SendTimeout, the call ends.
func (s *boundedStream) SendMsg(m any) error {
	if s.sendLimit == nil {
		s.sendLimit = time.AfterFunc(wire.SendTimeout, func() {
			s.call.Stuck.Store(true)
			endCall(s.transport, wire.ErrUnread)
		})
	} else {
		s.sendLimit.Reset(wire.SendTimeout)
	}
	defer s.sendLimit.Stop()
	return s.ServerStream.SendMsg(m)
}

// checkSize refuses a request that is larger than its method allows. The gRPC server itself has
// only one limit for all methods. It refuses a request above this limit before it reads the
// request.
func checkSize(method string, req any) error {
	limit := wire.MaxAsk
	switch method {
	case pb.RegistryService_Register_FullMethodName, discoverypb.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName,
		discoverypb.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName:
		return nil
	case pb.RegistryService_Report_FullMethodName:
		limit = wire.MaxReport
	}
	m, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	if n := proto.Size(m); n > limit {
		return wire.GRPC(fmt.Errorf("%w: the request has %d bytes; allowed for %s: at most %d", domain.ErrLimit, n, method, limit))
	}
	return nil
}
