package coordinator

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/meshhealth/meshhealth/internal/wire"
)

func (c *Coordinator) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if c.listener == nil {
		if c.listener, err = lc.Listen(ctx, "tcp", c.cfg.Listen); err != nil {
			return fmt.Errorf("gRPC: %w", err)
		}
	}
	if c.http == nil && c.cfg.HTTP != Off {
		if c.http, err = lc.Listen(ctx, "tcp", c.cfg.HTTP); err != nil {
			return fmt.Errorf("pages: %w", err)
		}
	}
	return nil
}

// Addr returns where gRPC is served.
func (c *Coordinator) Addr() net.Addr { return c.listener.Addr() }

// HTTPAddr returns where HTTP is served, nil if nowhere.
func (c *Coordinator) HTTPAddr() net.Addr {
	if c.http == nil {
		return nil
	}
	return c.http.Addr()
}

// onLoopback reports whether only this machine can reach the gRPC listener. A
// listener that is not of the network, as in tests, counts too.
func (c *Coordinator) onLoopback() bool {
	at, err := netip.ParseAddrPort(c.listener.Addr().String())
	return err != nil || at.Addr().IsLoopback()
}

// targets returns the rules for addresses to dial.
func (c *Coordinator) targets() *wire.Targets {
	t := &wire.Targets{Allow: c.cfg.Allow, Own: c.own()}
	if len(t.Allow) == 0 && c.onLoopback() {
		t.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	return t
}

// own lists our listeners by every address of this machine they are reached
// at.
func (c *Coordinator) own() []netip.AddrPort {
	var all []netip.AddrPort
	for _, l := range []net.Listener{c.listener, c.http} {
		if l == nil {
			continue
		}
		at, err := netip.ParseAddrPort(l.Addr().String())
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

func localIPs() []netip.Addr {
	var all []netip.Addr
	// Where the interfaces cannot be read, at least loopback is known.
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
