package wire

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// CheckListen returns an error if a text is not an address to listen on. Allowed are host:port and
// :port. Port 0 means any free port.
func CheckListen(address string) error {
	host, port, err := SplitAddress(address)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is none; allowed: 0 to 65535", CleanTo(port, MaxAddress))
	}
	return prefixed("host", checkHost(host))
}

// IsLoopback reports whether the host of an address is a loopback IP or "localhost".
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
