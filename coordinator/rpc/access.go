package rpc

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// action is what a caller wants to do with one name.
type action string

const (
	actionRegister action = "register"
	actionOverride action = "override"
	actionRead     action = "read the history and state of"
)

// allow is the one place that decides about access: called for every name of
// every request.
func (s *Server) allow(ctx context.Context, what action, id health.ID) error {
	if s.trusted(ctx) {
		return nil
	}
	name := strings.TrimPrefix(id.String(), "/") // a selector is no service's
	if name == "" {
		name = "the coordinator"
	}
	return fmt.Errorf("%w: to %s %s needs a client certificate that was verified", wire.ErrNotAllowed, what, name)
}

// trusted reports whether the caller has shown who it is, or need not.
func (s *Server) trusted(ctx context.Context) bool {
	if s.cfg.Trusting {
		return true
	}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	return ok && len(info.State.VerifiedChains) > 0
}

// caller returns where a call comes from, the zero Addr where that is no IP
// address.
func caller(ctx context.Context) netip.Addr {
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
