package wire

import (
	"cmp"
	"net"
	"net/netip"
)

// PeerPrefix is the default length in bits of the IPv6 prefix that identifies a peer. Providers
// commonly give a network of this size to one customer.
const PeerPrefix = 64

// Peer returns the name under which connections from an address are counted. The name is the IPv4
// address, or the first ipv6Bits bits of the IPv6 address (0 means PeerPrefix). For any other
// address, the name is the text without the port.
func Peer(address string, ipv6Bits int) string {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		if host, _, err := net.SplitHostPort(address); err == nil {
			return host
		}
		return address
	}
	ip := at.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	// Prefix fails only for a wrong number of bits.
	prefix, err := ip.WithZone("").Prefix(cmp.Or(ipv6Bits, PeerPrefix))
	if err != nil {
		return ip.String()
	}
	return prefix.String()
}

// PeerAddr is the remote address of a connection. The connection is counted for one peer, which is
// an IPv4 address or an IPv6 network: see Peer.
type PeerAddr interface {
	// Peer returns the name of the peer.
	Peer() string
	// AfterClose calls f when the connection is closed, or at once if it is closed already.
	AfterClose(f func())
}
