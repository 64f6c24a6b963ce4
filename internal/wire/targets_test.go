package wire

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestTargetsResolve(t *testing.T) {
	private := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	own := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.7:9090")}
	for _, c := range []struct {
		address, caller string
		allow           []netip.Prefix
		want            string // the address, or what the refusal says
	}{
		{":80", "10.0.0.1", nil, "10.0.0.1:80"},
		{":80", "fd00::1", nil, "[fd00::1]:80"},
		{":80", "10.0.0.1", private, "10.0.0.1:80"},
		{":80", "192.0.2.1", private, "is outside targets.allow (10.0.0.0/8, fd00::/8)"},
		{":9090", "10.0.0.7", nil, "is the coordinator's own"},
		{":80", "", nil, "has no host, and yours is not known"},
		{"10.0.0.1:80", "10.0.0.1", nil, "10.0.0.1:80"},
		{"10.0.0.1:80", "::ffff:10.0.0.1", nil, "10.0.0.1:80"},
		{"10.0.0.2:80", "10.0.0.1", nil, "is not where you call from (10.0.0.1)"},
		{"10.0.0.2:80", "192.0.2.1", private, "10.0.0.2:80"},
		{"10.0.0.7:9090", "10.0.0.1", private, "is the coordinator's own"},
		{"[::ffff:10.0.0.7]:9090", "10.0.0.1", private, "is the coordinator's own"},
		{"10.0.0.7:9091", "10.0.0.1", private, "10.0.0.7:9091"},
		{"name:80", "10.0.0.1", nil, "is a name; allowed: the address you call from"},
		{"name:80", "10.0.0.1", private, "name:80"},
		{"name", "10.0.0.1", private, "missing port"},
		{"169.254.169.254:80", "169.254.169.254", nil, "is a link-local address"},
		{"224.0.0.1:80", "224.0.0.1", nil, "is a multicast address"},
		{"0.0.0.0:80", "0.0.0.0", nil, "is no address"},
	} {
		targets := Targets{Allow: c.allow, Own: own}
		caller, _ := netip.ParseAddr(c.caller)
		got, err := targets.Resolve(c.address, caller)
		if err != nil {
			if !errors.Is(err, ErrTarget) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s from %s: %v, want %s", c.address, c.caller, err, c.want)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s from %s: %s, want %s", c.address, c.caller, got, c.want)
		}
	}
}

// Every dial is checked again, on the address a name was resolved to.
func TestTargetsCheck(t *testing.T) {
	targets := Targets{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for address, want := range map[string]bool{
		"10.1.2.3:80": true, "[::ffff:10.1.2.3]:80": true, "11.0.0.1:80": false, "127.0.0.1:80": false, "[fe80::1]:80": false, "[::]:80": false,
	} {
		if err := targets.Check(netip.MustParseAddrPort(address)); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}
