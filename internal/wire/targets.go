package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ErrTarget: the address may not be dialled.
var ErrTarget = errors.New("the address may not be dialled")

// Targets decides which addresses registrations may make us dial.
type Targets struct {
	// Allow lists networks. Without any, registrations may only name the
	// address they come from.
	Allow []netip.Prefix
	// Own are our own listeners, which are never dialled.
	Own []netip.AddrPort
}

// Resolve returns the address of a registration as it will be dialled: `:port`
// becomes the caller's. It refuses what can be refused already; names are
// resolved, and judged, at every dial.
func (t *Targets) Resolve(address string, caller netip.Addr) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%w: %v", ErrTarget, err)
	}
	if host == "" {
		if !caller.IsValid() {
			return "", fmt.Errorf("%w: %q has no host, and yours is not known; allowed: HOST:PORT", ErrTarget, address)
		}
		host = caller.String()
		address = net.JoinHostPort(host, port)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return address, t.checkName(host, caller)
	}
	if len(t.Allow) == 0 && ip.Unmap() != caller.Unmap() {
		return "", fmt.Errorf("%w: %s is not where you call from (%s); allowed: that, or what targets.allow lists", ErrTarget, ip, caller)
	}
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return "", fmt.Errorf("%w: %q: %v", ErrTarget, address, err)
	}
	return address, t.Check(parsed)
}

// checkName refuses names where only the caller's own address is allowed:
// what a name means may change at any time.
func (t *Targets) checkName(host string, caller netip.Addr) error {
	if len(t.Allow) > 0 {
		return nil
	}
	return fmt.Errorf("%w: %q is a name; allowed: the address you call from (%s), or what targets.allow lists", ErrTarget, host, caller)
}

// Check refuses an address about to be dialled.
func (t *Targets) Check(to netip.AddrPort) error {
	ip := to.Addr().Unmap()
	for _, own := range t.Own {
		if own.Port() == to.Port() && own.Addr().Unmap() == ip {
			return fmt.Errorf("%w: %s is the coordinator's own", ErrTarget, to)
		}
	}
	switch {
	case ip.IsUnspecified():
		return fmt.Errorf("%w: %s is no address", ErrTarget, ip)
	case ip.IsMulticast():
		return fmt.Errorf("%w: %s is a multicast address", ErrTarget, ip)
	case ip.IsLinkLocalUnicast():
		return fmt.Errorf("%w: %s is a link-local address", ErrTarget, ip)
	}
	return t.allowed(ip)
}

func (t *Targets) allowed(ip netip.Addr) error {
	for _, p := range t.Allow {
		if p.Contains(ip) {
			return nil
		}
	}
	if len(t.Allow) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s is outside targets.allow (%s)", ErrTarget, ip, t.list())
}

func (t *Targets) list() string {
	text := ""
	for i, p := range t.Allow {
		if i > 0 {
			text += ", "
		}
		text += p.String()
	}
	return text
}
