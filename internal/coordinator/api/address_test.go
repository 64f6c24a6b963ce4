package api

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The address that is registered depends on the rules for targets and on the address of the
// caller.
func TestRegisterFixesTheAddress(t *testing.T) {
	open := &wire.Targets{
		Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		Own:   []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:7070")},
	}
	subnet := &wire.Targets{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	for _, c := range []struct {
		targets             *wire.Targets
		from, address, want string // a want that ends in … is the text of a refusal
	}{
		{&wire.Targets{}, "192.0.2.1", ":80", "192.0.2.1:80"},
		{&wire.Targets{}, "2001:db8::1", ":80", "[2001:db8::1]:80"},
		{&wire.Targets{}, "::ffff:192.0.2.1", ":80", "192.0.2.1:80"},
		{&wire.Targets{}, "192.0.2.1", "[::]:80", "192.0.2.1:80"}, // the address of net.Listen("tcp", ":80")
		{&wire.Targets{}, "192.0.2.1", "0.0.0.0:80", "192.0.2.1:80"},
		{&wire.Targets{}, "2001:db8::1", "0.0.0.0:80", "[2001:db8::1]:80"},
		{&wire.Targets{}, "192.0.2.1", "[::ffff:0.0.0.0]:80", "192.0.2.1:80"},
		{&wire.Targets{}, "192.0.2.1", "[::0]:80", "192.0.2.1:80"},
		{&wire.Targets{}, "/run/sock", "[::]:80", "yours is not known; allowed: HOST:PORT…"},
		{&wire.Targets{}, "192.0.2.1", "192.0.2.1:80", "192.0.2.1:80"},
		{&wire.Targets{}, "192.0.2.1", "192.0.2.2:80", "192.0.2.2 is not where you call from (192.0.2.1); allowed:…"},
		{&wire.Targets{}, "192.0.2.1", "pay.example:80", `"pay.example" is a name; allowed: the address you call from (192.0.2.1)…`},
		{&wire.Targets{}, "/run/sock", ":80", "yours is not known; allowed: HOST:PORT…"},
		{subnet, "192.0.2.1", "192.0.2.200:80", "192.0.2.200:80"},
		{subnet, "192.0.2.1", "pay.example:80", "pay.example:80"},
		{subnet, "192.0.2.1", "203.0.113.1:80", "203.0.113.1 is outside targets.allow (192.0.2.0/24)…"},
		{subnet, "203.0.113.1", ":80", "203.0.113.1 is outside targets.allow (192.0.2.0/24)…"},
		{open, "192.0.2.1", "192.0.2.9:7070", "192.0.2.9:7070 is the coordinator's own…"},
		{open, "192.0.2.1", "0.0.0.0:80", "192.0.2.1:80"},
		{subnet, "203.0.113.1", "[::]:80", "203.0.113.1 is outside targets.allow (192.0.2.0/24)…"},
		{open, "192.0.2.9", "[::]:7070", "192.0.2.9:7070 is the coordinator's own…"},
		{open, "192.0.2.1", "224.0.0.1:80", "224.0.0.1 is a multicast address…"},
		{open, "192.0.2.1", "169.254.169.254:80", "169.254.169.254 is a link-local address…"},
		{open, "192.0.2.1", "[fe80::1]:80", "fe80::1 is a link-local address…"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(s *setup) { s.Targets = c.targets })
			r := instance("pay/1")
			r.Address = c.address
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
