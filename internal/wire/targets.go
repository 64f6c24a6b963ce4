package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ErrTarget is returned for an address that the coordinator may not dial.
var ErrTarget = errors.New("the address may not be dialled")

// Targets decides which addresses the coordinator may dial for registrations.
type Targets struct {
	// Allow lists the allowed networks. If it is empty, a registration may only have the
	// address of its caller.
	Allow []netip.Prefix
	// Own lists the addresses of the coordinator's own listeners, which are never dialled.
	Own []netip.AddrPort
}

// Resolve returns the address to dial for the address in a registration. If the host is missing or
// unspecified, as in `:port` and `[::]:port`, Resolve uses the IP address of the caller. Resolve
// does not replace a host name: it is looked up and checked at every dial.
func (t *Targets) Resolve(address string, caller netip.Addr) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%w: %v", ErrTarget, err)
	}
	if anyHost(host) {
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

// checkName refuses host names if only the address of the caller may be dialled. The IP address
// of a host name may change at any time.
func (t *Targets) checkName(host string, caller netip.Addr) error {
	if len(t.Allow) > 0 {
		return nil
	}
	return fmt.Errorf("%w: %q is a name; allowed: the address you call from (%s), or what targets.allow lists", ErrTarget, host, caller)
}

// Check returns an error if an address may not be dialled.
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
