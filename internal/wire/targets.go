package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ErrTarget is returned for an address that the coordinator may not dial.
var ErrTarget = errors.New("the address may not be dialled")

// Targets says which addresses the coordinator never dials, whatever the access policy allows.
type Targets struct {
	// Own lists the addresses of the coordinator's own listeners.
	Own []netip.AddrPort
	// Loopback means that only this machine can reach the coordinator. If it is false, only a caller on
	// this machine may register a loopback address.
	Loopback bool
	// Names reports whether the name of a host may have an address, if an identity has registered it. It is
	// asked at every dial, because the address of a name may change at any time. nil means that only names
	// in the configuration may be dialled.
	Names func(registrant string, ip netip.Addr) bool
}

// Dialled is a host that the coordinator dials.
type Dialled struct {
	Host string
	// Registrant is the identity that has registered the host. It is empty for a caller without one.
	Registrant string
	// Configured means that the configuration of the coordinator names the host.
	Configured bool
}

// Resolve returns the address to dial for the address in a registration. If the host is missing or
// unspecified, as in `:port` and `[::]:port`, Resolve uses the IP address of the caller. Resolve
// does not replace a host name: it is looked up and checked at every dial. For a name, endpoint has
// no IP address.
func (t *Targets) Resolve(address string, caller netip.Addr) (resolved string, endpoint netip.AddrPort, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", endpoint, fmt.Errorf("%w: %v", ErrTarget, err)
	}
	if anyHost(host) {
		if !caller.IsValid() {
			return "", endpoint, fmt.Errorf("%w: %q has no host, and yours is not known; allowed: HOST:PORT", ErrTarget, address)
		}
		host = caller.String()
		address = net.JoinHostPort(host, port)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		at, err := netip.ParseAddrPort(net.JoinHostPort("::", port))
		if err != nil {
			return "", endpoint, fmt.Errorf("%w: %q: %v", ErrTarget, address, err)
		}
		return address, netip.AddrPortFrom(netip.Addr{}, at.Port()), nil
	}
	if endpoint, err = netip.ParseAddrPort(address); err != nil {
		return "", endpoint, fmt.Errorf("%w: %q: %v", ErrTarget, address, err)
	}
	if ip := plainIP(endpoint.Addr()); ip.IsLoopback() && !t.Loopback && !caller.Unmap().IsLoopback() {
		return "", endpoint, fmt.Errorf("%w: %s is a loopback address, and you call from %s", ErrTarget, ip, caller)
	}
	return address, endpoint, t.Check(endpoint)
}

// CheckDial returns an error if an address may not be dialled, which was looked up for the host in d.
func (t *Targets) CheckDial(d Dialled, to netip.AddrPort) error {
	if err := t.Check(to); err != nil {
		return err
	}
	ip := plainIP(to.Addr())
	if _, err := netip.ParseAddr(d.Host); err == nil || d.Configured {
		return nil // it was checked when it was registered, or needs no rule
	}
	if t.Names == nil || !t.Names(d.Registrant, ip) {
		return fmt.Errorf("%w: %s is the address of %s, and it is outside the networks that the access policy allows", ErrTarget, ip, d.Host)
	}
	return nil
}

// Check returns an error if nobody may register an address.
func (t *Targets) Check(to netip.AddrPort) error {
	ip := plainIP(to.Addr())
	for _, own := range t.Own {
		if own.Port() == to.Port() && own.Addr().Unmap() == ip {
			return fmt.Errorf("%w: %s is the coordinator's own", ErrTarget, to)
		}
	}
	switch {
	case ip.IsUnspecified():
		return fmt.Errorf("%w: %s is no address", ErrTarget, ip)
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%w: %s is a multicast address", ErrTarget, ip)
	case ip.IsLinkLocalUnicast():
		return fmt.Errorf("%w: %s is a link-local address", ErrTarget, ip)
	}
	return nil
}

// embedding lists IPv6 networks whose addresses contain an IPv4 address, and the index of its first byte.
// A packet to such an address may arrive at this IPv4 address.
var embedding = []struct {
	network netip.Prefix
	at      int
}{
	{netip.MustParsePrefix("::/96"), 12},          // IPv4-compatible
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/96"), 12}, // NAT64 for local use
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4
}

// plainIP returns the IPv4 address in ip if ip has one, else ip itself without its zone.
func plainIP(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() || ip == netip.IPv6Unspecified() || ip == netip.IPv6Loopback() {
		return ip
	}
	for _, e := range embedding {
		if e.network.Contains(ip) {
			b := ip.As16()
			return netip.AddrFrom4([4]byte(b[e.at : e.at+4]))
		}
	}
	return ip
}
