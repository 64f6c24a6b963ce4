package server

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// metadataDegraded is headerDegraded in the form for gRPC.
const metadataDegraded = "x-envoy-degraded"

// DegradedHeader returns interceptors that add the header x-envoy-degraded to the replies to all
// calls while the name service is DEGRADED. An Envoy whose cluster has
// outlier_detection.detect_degraded_hosts then sends less traffic to this instance. While the
// name has another status, the interceptors only read one atomic value.
//
// The name is Config.Service, one of Config.Services, a name that SetServingStatus has added
// before, or "", whose status is that of Config.Service. For any other name DegradedHeader returns
// an error.
func (s *Server) DegradedHeader(service string) (grpc.UnaryServerInterceptor, grpc.StreamServerInterceptor, error) {
	s.pipeline.mu.Lock()
	served := s.pipeline.judgement.byID[health.ID{Service: service}]
	s.pipeline.mu.Unlock()
	if served == nil {
		return nil, nil, fmt.Errorf("server.DegradedHeader: service: is %q; allowed: %q, a name in Config.Services, a name that was set",
			wire.CleanTo(service, wire.MaxName), s.cfg.Service)
	}
	unary := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if served.degraded.Load() {
			_ = grpc.SetHeader(ctx, degradedMetadata()) // it fails only if headers were sent before
		}
		return handle(ctx, req)
	}
	stream := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if served.degraded.Load() {
			_ = ss.SetHeader(degradedMetadata())
		}
		return handle(srv, ss)
	}
	return unary, stream, nil
}

func degradedMetadata() metadata.MD { return metadata.Pairs(metadataDegraded, "true") }
