package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/meshhealth/meshhealth/internal/coordinator/api"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// listeners are the open listeners of a coordinator.
type listeners struct {
	grpc net.Listener
	http net.Listener // listener of the HTTP pages; nil if HTTP is off
	unix net.Listener // unix socket for gRPC; nil if there is none
}

// openListeners returns the listeners in cfg, and opens those that cfg does not contain. The caller
// must close the returned listeners even if err is not nil.
func openListeners(ctx context.Context, cfg *Config) (l listeners, err error) {
	var lc net.ListenConfig
	l = listeners{grpc: cfg.Listener, http: cfg.HTTPListener}
	if l.grpc == nil {
		if l.grpc, err = lc.Listen(ctx, "tcp", cfg.Listen); err != nil {
			return l, fmt.Errorf("gRPC: %w", err)
		}
	}
	if l.http == nil && cfg.HTTP != Off {
		if l.http, err = lc.Listen(ctx, "tcp", cfg.HTTP); err != nil {
			return l, fmt.Errorf("pages: %w", err)
		}
	}
	return l, nil
}

func (l listeners) close() error {
	var errs []error
	for _, one := range []net.Listener{l.grpc, l.http, l.unix} {
		if one == nil {
			continue
		}
		if err := one.Close(); !errors.Is(err, net.ErrClosed) { // the listener may already be closed
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// onLoopback reports whether only this machine can reach a listener. It also returns true for a
// listener without an IP address, such as the in-memory listeners of tests, and for no listener.
func onLoopback(l net.Listener) bool {
	if l == nil {
		return true
	}
	at, err := netip.ParseAddrPort(l.Addr().String())
	return err != nil || at.Addr().IsLoopback()
}

// socketPath returns the path of the unix socket, or "" if there is none.
func (l listeners) socketPath() string {
	if l.unix == nil {
		return ""
	}
	return l.unix.Addr().String()
}

// targets returns the rules for the addresses that the coordinator may dial.
func (l listeners) targets(a *api.Access) *wire.Targets {
	return &wire.Targets{Own: l.own(), Loopback: onLoopback(l.grpc), Names: func(registrant string, ip netip.Addr) bool { return a.RightsOf(registrant).MayName(ip) }}
}

// own returns all addresses at which clients can reach the listeners of the coordinator. A listener
// on an unspecified address can be reached at every address of this machine.
func (l listeners) own() []netip.AddrPort {
	var all []netip.AddrPort
	for _, one := range []net.Listener{l.grpc, l.http} {
		if one == nil {
			continue
		}
		at, err := netip.ParseAddrPort(one.Addr().String())
		if err != nil {
			continue
		}
		if !at.Addr().IsUnspecified() {
			all = append(all, at)
			continue
		}
		for _, ip := range localIPs() {
			all = append(all, netip.AddrPortFrom(ip, at.Port()))
		}
	}
	return all
}

// localIPs returns the IP addresses of this machine. If it cannot read them, it returns only the
// loopback addresses.
func localIPs() []netip.Addr {
	var all []netip.Addr
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all
}
