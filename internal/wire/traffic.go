package wire

import (
	"fmt"
	"net"
	"net/netip"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// trafficOf returns the part of a registration that says where the instance receives traffic.
func trafficOf(v *Violations, prefix string, r *pb.Registration) health.Traffic {
	t := trafficFrom(r.GetTraffic())
	prefix += "traffic."
	v.Check(prefix+"address", CheckTrafficAddress(t.Address, r.GetAddress()))
	v.Check(prefix+"weight", CheckWeight(t.Weight))
	v.Check(prefix+"tls_names", CheckTLSNames(t.TLSNames))
	return t
}

// CheckTrafficAddress returns an error if a text is not an address for traffic. An empty address is
// allowed. The parameter of is the address for health calls of the same instance. If the host for
// traffic is a name, it must be the host of that address, because the coordinator resolves only this
// one.
func CheckTrafficAddress(address, of string) error {
	if address == "" {
		return nil
	}
	if err := CheckAddress(address); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(address)
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return nil
	}
	if own, _, _ := net.SplitHostPort(of); host != own {
		return fmt.Errorf("host %q is a name; allowed: an IP address, no host, or the host of address (%q)", host, CleanTo(own, MaxAddress))
	}
	return nil
}

// CheckWeight returns an error if a weight is too large. 0 means the weight 1.
func CheckWeight(weight uint32) error {
	if weight > health.MaxWeight {
		return fmt.Errorf("is %d; allowed: 1 to %d, 0 for 1", weight, health.MaxWeight)
	}
	return nil
}

// CheckTLSNames returns an error if there are too many names, or if one of them cannot be the name
// in a certificate.
func CheckTLSNames(names []string) error {
	if len(names) > health.MaxTLSNames {
		return fmt.Errorf("has %d; allowed: at most %d", len(names), health.MaxTLSNames)
	}
	for i, name := range names {
		if name == "" {
			return fmt.Errorf("has an empty name at index %d; allowed: a DNS name, a URI or an IP address", i)
		}
		if err := CheckText(name, 1, MaxServerName); err != nil {
			return fmt.Errorf("has a name at index %d that %w", i, err)
		}
	}
	return nil
}

// TrafficAddress returns the address for traffic of an instance whose address for health calls is
// address. It fills in the host of address if traffic has none. If traffic is empty, the result is
// empty too.
func TrafficAddress(traffic, address string) string {
	host, port, err := net.SplitHostPort(traffic)
	if err == nil && anyHost(host) {
		own, _, _ := net.SplitHostPort(address)
		return net.JoinHostPort(own, port)
	}
	return traffic
}

// endpointText returns the text of an endpoint, or an empty text if it is not valid.
func endpointText(e netip.AddrPort) string {
	if !e.IsValid() {
		return ""
	}
	return e.String()
}

// endpointFrom parses the text of an endpoint. It returns the zero value for other texts.
func endpointFrom(text string) netip.AddrPort {
	e, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}
	}
	return e
}

// TrafficMessage converts t to a message. It returns nil if t is zero.
func TrafficMessage(t *health.Traffic) *pb.Traffic {
	if t.IsZero() {
		return nil
	}
	return &pb.Traffic{Address: t.Address, Weight: t.Weight, TlsNames: t.TLSNames}
}

func trafficFrom(p *pb.Traffic) health.Traffic {
	return health.Traffic{Address: p.GetAddress(), Weight: p.GetWeight(), TLSNames: p.GetTlsNames()}
}
