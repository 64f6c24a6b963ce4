package wire

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestTargetsResolve(t *testing.T) {
	targets := Targets{Own: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.7:9090")}}
	for _, c := range []struct {
		address, caller string
		want            string // the address, or what the refusal says
	}{
		{":80", "10.0.0.1", "10.0.0.1:80"},
		{":80", "fd00::1", "[fd00::1]:80"},
		{":9090", "10.0.0.7", "is the coordinator's own"},
		{":80", "", "has no host, and yours is not known"},
		{"10.0.0.2:80", "192.0.2.1", "10.0.0.2:80"},
		{"10.0.0.7:9090", "10.0.0.1", "is the coordinator's own"},
		{"[::ffff:10.0.0.7]:9090", "10.0.0.1", "is the coordinator's own"},
		{"10.0.0.7:9091", "10.0.0.1", "10.0.0.7:9091"},
		{"name:80", "10.0.0.1", "name:80"},
		{"name", "10.0.0.1", "missing port"},
		{"name:http", "10.0.0.1", "invalid port"},
		{"127.0.0.1:80", "127.0.0.1", "127.0.0.1:80"},
		{"127.0.0.1:80", "10.0.0.1", "is a loopback address, and you call from 10.0.0.1"},
		{"[::1]:80", "10.0.0.1", "is a loopback address"},
		{"[::ffff:127.0.0.1]:80", "10.0.0.1", "is a loopback address"},
		{"[64:ff9b::7f00:1]:80", "10.0.0.1", "is a loopback address"},
		{"[::127.0.0.1]:80", "10.0.0.1", "is a loopback address"},
		{"[2002:7f00:1::]:80", "10.0.0.1", "is a loopback address"},
		{"[64:ff9b::a9fe:a9fe]:80", "10.0.0.1", "is a link-local address"},
		{"169.254.169.254:80", "169.254.169.254", "is a link-local address"},
		{"[fe80::1%eth0]:80", "10.0.0.1", "is a link-local address"},
		{"224.0.0.1:80", "224.0.0.1", "is a multicast address"},
		{"255.255.255.255:80", "10.0.0.1", "is a multicast address"},
		{"[ff02::1]:80", "10.0.0.1", "is a multicast address"},
		{"0.0.0.0:80", "0.0.0.0", "is no address"},
	} {
		caller, _ := netip.ParseAddr(c.caller)
		got, at, err := targets.Resolve(c.address, caller)
		if err != nil {
			if !errors.Is(err, ErrTarget) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s from %s: %v, want %s", c.address, c.caller, err, c.want)
			}
			continue
		}
		if got != c.want || at.Port() == 0 || at.Addr().IsValid() == strings.HasPrefix(c.address, "name") {
			t.Errorf("%s from %s: %s and %v, want %s", c.address, c.caller, got, at, c.want)
		}
	}
	local := Targets{Loopback: true}
	if _, _, err := local.Resolve("127.0.0.1:80", netip.Addr{}); err != nil {
		t.Errorf("loopback on a coordinator that only its machine can reach: %v", err)
	}
}

// TestTargetsCheckDial: the address that the name of a host has now is checked at every dial.
func TestTargetsCheckDial(t *testing.T) {
	network := netip.MustParsePrefix("10.0.0.0/8")
	targets := Targets{Names: func(registrant string, ip netip.Addr) bool { return registrant == "a" && network.Contains(ip) }}
	for _, c := range []struct {
		host, address string
		want          bool
	}{
		{"name", "10.1.2.3:80", true},
		{"name", "[::ffff:10.1.2.3]:80", true},
		{"name", "11.0.0.1:80", false},
		{"name", "127.0.0.1:80", false},
		{"name", "[64:ff9b::7f00:1]:80", false},
		{"name", "[fe80::1]:80", false},
		{"name", "[::]:80", false},
		{"11.0.0.1", "11.0.0.1:80", true},
		{"127.0.0.1", "127.0.0.1:80", true},
		{"169.254.0.1", "169.254.0.1:80", false},
	} {
		to := netip.MustParseAddrPort(c.address)
		if err := targets.CheckDial(Dialled{Host: c.host, Registrant: "a"}, to); (err == nil) != c.want {
			t.Errorf("%s at %s: %v", c.host, c.address, err)
		}
		if err := targets.CheckDial(Dialled{Host: c.host, Registrant: "b"}, to); c.host == "name" && err == nil {
			t.Errorf("%s at %s is dialled for another identity", c.host, c.address)
		}
		if err := targets.CheckDial(Dialled{Host: c.host, Configured: true}, to); (err == nil) != (targets.Check(to) == nil) {
			t.Errorf("%s at %s in the configuration: %v", c.host, c.address, err)
		}
	}
	if none := (&Targets{}).CheckDial(Dialled{Host: "name"}, netip.MustParseAddrPort("10.0.0.1:80")); none == nil {
		t.Error("a name may be dialled although no network is allowed")
	}
}
