package api

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestRegisterFixesTheAddress: the address that is registered depends on the rules of the policy and on the
// address of the caller.
func TestRegisterFixesTheAddress(t *testing.T) {
	at := func(networks ...string) *access.Register {
		r := &access.Register{Services: []string{"*"}, Peer: len(networks) == 0}
		for _, n := range networks {
			r.Addresses = append(r.Addresses, netip.MustParsePrefix(n))
		}
		return r
	}
	peer, open, subnet, ports := at(), at("0.0.0.0/0", "::/0"), at("192.0.2.0/24"), at()
	ports.Ports = []access.Ports{{First: 80, Last: 89}}
	for _, c := range []struct {
		rule                *access.Register
		from, address, want string // a want that ends in … is the text of a refusal
	}{
		{peer, "192.0.2.1", ":80", "192.0.2.1:80"},
		{peer, "2001:db8::1", ":80", "[2001:db8::1]:80"},
		{peer, "::ffff:192.0.2.1", ":80", "192.0.2.1:80"},
		{peer, "192.0.2.1", "[::]:80", "192.0.2.1:80"}, // the address of net.Listen("tcp", ":80")
		{peer, "192.0.2.1", "0.0.0.0:80", "192.0.2.1:80"},
		{peer, "2001:db8::1", "0.0.0.0:80", "[2001:db8::1]:80"},
		{peer, "192.0.2.1", "[::ffff:0.0.0.0]:80", "192.0.2.1:80"},
		{peer, "192.0.2.1", "[::0]:80", "192.0.2.1:80"},
		{peer, "/run/sock", "[::]:80", "yours is not known; allowed: HOST:PORT…"},
		{peer, "192.0.2.1", "192.0.2.1:80", "192.0.2.1:80"},
		{peer, "192.0.2.1", "192.0.2.2:80", "192.0.2.2:80 is not one that the access policy allows you for pay/1; allowed: the address that you call from (192.0.2.1)…"},
		{peer, "192.0.2.1", "pay.example:80", "pay.example:80 is not one that the access policy allows you for pay/1; allowed: the address that you call from (192.0.2.1)…"},
		{peer, "/run/sock", ":80", "yours is not known; allowed: HOST:PORT…"},
		{ports, "192.0.2.1", ":80", "192.0.2.1:80"},
		{ports, "192.0.2.1", ":90", "allowed: the address that you call from (192.0.2.1), with the ports 80-89…"},
		{subnet, "192.0.2.1", "192.0.2.200:80", "192.0.2.200:80"},
		{subnet, "192.0.2.1", "pay.example:80", "pay.example:80"},
		{subnet, "192.0.2.1", "203.0.113.1:80", "203.0.113.1:80 is not one that the access policy allows you for pay/1; allowed: 192.0.2.0/24…"},
		{subnet, "203.0.113.1", ":80", "allowed: 192.0.2.0/24…"},
		{open, "192.0.2.1", "192.0.2.9:7070", "192.0.2.9:7070 is the coordinator's own…"},
		{open, "192.0.2.1", "0.0.0.0:80", "192.0.2.1:80"},
		{subnet, "203.0.113.1", "[::]:80", "allowed: 192.0.2.0/24…"},
		{open, "192.0.2.9", "[::]:7070", "192.0.2.9:7070 is the coordinator's own…"},
		{open, "192.0.2.1", "224.0.0.1:80", "224.0.0.1 is a multicast address…"},
		{open, "192.0.2.1", "169.254.169.254:80", "169.254.169.254 is a link-local address…"},
		{open, "192.0.2.1", "[fe80::1]:80", "fe80::1 is a link-local address…"},
		{open, "192.0.2.1", "127.0.0.1:80", "127.0.0.1 is a loopback address…"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(s *setup) {
				s.Targets = &wire.Targets{Own: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:7070")}}
				s.access = &access.Policy{Rules: []access.Rule{{Name: "all", Who: []string{"anyone"}, Register: c.rule}}}
			})
			r := instance("pay/1")
			r.Address, r.Traffic = c.address, nil
			req := &pb.RegisterRequest{Registrations: []*pb.Registration{r}}
			resp, err := w.call(c.from, insecure.NewCredentials()).leases.Register(t.Context(), req)
			if says, refused := strings.CutSuffix(c.want, "…"); refused {
				wantCode(t, err, codes.InvalidArgument, "")
				if got, all := violation(err, "registrations[0].address"); !strings.Contains(got, says) {
					t.Errorf("%s from %s: %q, want %q; all: %s", c.address, c.from, got, says, all)
				}
				return
			}
			if err != nil || resp.GetLeases()[0].GetAddress() != c.want {
				t.Errorf("%s from %s: %v, %v, want %s", c.address, c.from, resp, err, c.want)
			}
		})
	}
}
