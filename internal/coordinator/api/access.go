package api

import (
	"context"
	"net/netip"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// principal returns what is known about the caller of a call: the verified identity, and whether
// the caller is trusted. Without a verified certificate the identity is empty.
func (c *Config) principal(ctx context.Context) access.Principal {
	who := access.Principal{Trusted: c.TrustAll}
	if overHTTP(ctx) {
		who.Trusted = c.TrustHTTP
	}
	p, ok := peer.FromContext(ctx)
	if !ok || verifiedChains(p.AuthInfo) == nil {
		return who
	}
	who.Trusted = true
	if at, ok := p.Addr.(peerAddr); ok {
		who.Identity = at.identity
	}
	return who
}

// caller returns the caller of the call with the context ctx, together with the access policy.
func (c *Config) caller(ctx context.Context) access.Caller {
	return access.Caller{Policy: c.Policy, Principal: c.principal(ctx)}
}

// check asks the access policy whether the caller may do the action verb with the given name. If
// the policy refuses, check returns a gRPC error.
func (c *Config) check(ctx context.Context, verb access.Verb, name access.Name) error {
	if _, err := c.caller(ctx).Check(verb, name); err != nil {
		return wire.GRPC(err)
	}
	return nil
}

// MayLocate returns a function that reports whether the caller of the call with the context ctx may see
// the addresses of a service.
func (s *Server) MayLocate(ctx context.Context) func(service string) bool {
	caller := s.cfg.caller(ctx)
	return func(service string) bool { return caller.May(access.Locate, access.Of(health.ID{Service: service})) }
}

// checkedServer registers services with streams. Each call is first checked by the access policy: the
// caller must be allowed to do verb with name.
type checkedServer struct {
	boundedServer
	cfg  *Config
	verb access.Verb
	name access.Name
}

// RegisterService implements grpc.ServiceRegistrar.
func (c checkedServer) RegisterService(desc *grpc.ServiceDesc, impl any) {
	c.boundedServer.RegisterService(withStreams(desc, func(_ string, handler grpc.StreamHandler) grpc.StreamHandler {
		return func(srv any, stream grpc.ServerStream) error {
			if err := c.cfg.check(stream.Context(), c.verb, c.name); err != nil {
				return err
			}
			return handler(srv, stream)
		}
	}), impl)
}

// callerAddr returns the IP address of a caller. It returns the zero Addr if the address of
// the caller is not an IP address.
func callerAddr(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return netip.Addr{}
	}
	at, err := netip.ParseAddrPort(p.Addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
