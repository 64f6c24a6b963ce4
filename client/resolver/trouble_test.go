package resolver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/client/resolver"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// wantError makes a call, which must fail with UNAVAILABLE and a text with all of these parts.
func wantError(t *testing.T, conn *grpc.ClientConn, parts ...string) {
	t.Helper()
	_, err := ask(context.Background(), conn)
	if status.Code(err) != codes.Unavailable {
		t.Fatalf("the call ends with %v, want UNAVAILABLE", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the call ends with %v, want %q in it", err, part)
		}
	}
}

// TestUnknownService: calls of a service that does not exist fail with this reason, and work as soon as
// it has an instance.
func TestUnknownService(t *testing.T) {
	for policy := range policies {
		bubble(t, policy, func(t *testing.T, r *rig) {
			conn := r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", policy)
			wantError(t, conn, "pay: the coordinator knows no instance of this service")
			b := r.many(1, 0)[0]
			after(2 * time.Minute) // longer than the pauses between attempts to connect
			if got := r.counts(conn, 10); got["0"] != 10 {
				t.Errorf("calls went to %v", got)
			}
			b.set(health.NotServing)
			settle()
			_, err := ask(context.Background(), conn)
			if policy == "meshhealth" {
				wantError(t, conn, "pay: no instance may receive traffic: 1 UNHEALTHY")
			} else if status.Code(err) != codes.Unavailable {
				t.Errorf("the call ends with %v, want UNAVAILABLE", err)
			}
			r.wantLog(
				"WARN resolver: no instance of the service can be called service=pay err=pay: the coordinator knows no instance",
				"INFO resolver: the service has instances that can be called service=pay",
				"WARN resolver: no instance of the service can be called service=pay err=pay: no instance may receive traffic: 1 UNHEALTHY",
			)
		})
	}
}

// TestDeregistered: the word of an instance that it leaves is not kept from channels.
func TestDeregistered(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		all := r.many(2, 0)
		conn := r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", "meshhealth")
		r.counts(conn, 10)
		for i, b := range all {
			if err := b.lease.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if i == 0 {
				if got := r.counts(conn, 10); got["1"] != 10 {
					t.Errorf("instance 0 is deregistered; calls went to %v", got)
				}
			}
		}
		wantError(t, conn, "knows no instance")
	})
}

// TestHidden: a coordinator shows no addresses to a client that may not route. Calls fail with this
// reason, which is logged once.
func TestHidden(t *testing.T) {
	for policy := range policies {
		t.Run(policy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				ca := nettest.NewAuthority(t)
				signed := func() []tls.Certificate {
					return []tls.Certificate{ca.Sign(&x509.Certificate{
						IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"coordinator"},
						URIs:     []*url.URL{{Scheme: "spiffe", Host: "mesh.test", Path: "/edge"}},
						NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
					})}
				}
				r.config.Credentials = credentials.NewTLS(&tls.Config{
					Certificates: signed(), ClientCAs: ca.Pool(), ClientAuth: tls.VerifyClientCertIfGiven,
				})
				r.config.Access = &coordinator.AccessPolicy{Rules: []access.Rule{
					{Name: "edge", Who: []string{"spiffe://mesh.test/edge"}, Route: &access.Services{Services: []string{"*"}}},
					{Name: "public", Who: []string{"anyone"}, Read: &access.Read{Services: []string{"*"}}},
				}}
				r.config.Static = []coordinator.Target{{Service: "pay", Instance: "0", Address: "127.0.0.1:9000"}}
				r.startCoordinator()
				r.many(1, 0) // its client cannot register; the coordinator follows the static target
				connect := func(certificates []tls.Certificate) *grpc.ClientConn {
					r.client = r.newClient(client.Config{Credentials: credentials.NewTLS(&tls.Config{
						RootCAs: ca.Pool(), ServerName: "coordinator", Certificates: certificates,
					})})
					return r.dial(r.resolver(resolver.Config{}), "meshhealth:///pay", policy)
				}
				wantError(t, connect(nil), "pay: the coordinator does not show the addresses of instances to this client")
				after(time.Minute)
				r.wantLog("ERROR resolver: addresses are hidden, so instances cannot be called service=pay")
				if got := r.counts(connect(signed()), 10); got["0"] != 10 {
					t.Errorf("with a certificate calls went to %v", got)
				}
			})
		})
	}
}

// TestTargets: a target that is not valid is refused with the field, the value and what is allowed.
func TestTargets(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		for target, want := range map[string]string{
			"meshhealth://host/pay":                     `authority: is "host"; allowed: none, as in meshhealth:///payments`,
			"meshhealth:///":                            "service: is empty; allowed: 1 to 255",
			"meshhealth:///pay/a":                       "service: has '/' in it; allowed: 1 to 255",
			"meshhealth:///pay?zone=a%20b":              "zone: ",
			"meshhealth:///pay?region=%00":              "region: ",
			"meshhealth:///pay?share=all":               `share: is "all"; allowed: subset, weights`,
			"meshhealth:///pay?zone=a&zone=b":           "zone: is set 2 times; allowed: once",
			"meshhealth:///pay?zones=a":                 "zones: is no key of a target; allowed: zone, region, share",
			"meshhealth:///pay?zone=a;b":                "query: invalid semicolon",
			"meshhealth:///" + strings.Repeat("a", 300): "service: has 300 bytes",
		} {
			conn := r.dial(r.resolver(resolver.Config{}), target, "meshhealth")
			_, err := ask(context.Background(), conn)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", target, err, want)
			}
		}
		if n := r.watchers(); n != 0 {
			t.Errorf("targets that are not valid have %d Watches", n)
		}
	})
	if _, err := resolver.New(nil, resolver.Config{}); err == nil {
		t.Error("New without a Client succeeds")
	}
	c, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, err = resolver.New(c, resolver.Config{Zone: "a b", Region: "c d"})
	if err == nil || !strings.Contains(err.Error(), "Zone: ") || !strings.Contains(err.Error(), "Region: ") {
		t.Errorf("New with a wrong zone and region: %v", err)
	}
}

// TestShared: all channels share one Watch for each 128 services, and there is none without channels.
func TestShared(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		r.many(1, 0)
		res := r.resolver(resolver.Config{})
		var conns []*grpc.ClientConn
		for i := range 260 {
			service := "pay"
			if i >= 100 {
				service = fmt.Sprint("unknown-", i)
			}
			conn := r.dial(res, "meshhealth:///"+service, "meshhealth")
			conn.Connect()
			conns = append(conns, conn)
			if synctest.Wait(); i == 99 {
				if n := r.watchers(); n != 1 {
					t.Errorf("100 channels to one service have %d Watches, want 1", n)
				}
			}
		}
		if n := r.watchers(); n != 2 {
			t.Errorf("channels to 161 services have %d Watches, want 2", n)
		}
		if got := r.counts(conns[0], 10); got["0"] != 10 {
			t.Errorf("calls went to %v", got)
		}
		wantError(t, conns[259], "unknown-259: the coordinator knows no instance")
		for _, conn := range conns {
			_ = conn.Close()
		}
		synctest.Wait()
		if n := r.watchers(); n != 0 {
			t.Errorf("without channels there are %d Watches", n)
		}
	})
}

// TestClosedClient: channels keep the last known instances when the Client is closed.
func TestClosedClient(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		r.many(1, 0)
		res := r.resolver(resolver.Config{})
		conn := r.dial(res, "meshhealth:///pay", "meshhealth")
		r.counts(conn, 10)
		_ = r.client.Close()
		settle()
		if got := r.counts(conn, 10); got["0"] != 10 {
			t.Errorf("calls went to %v", got)
		}
		other := r.dial(res, "meshhealth:///other", "meshhealth")
		other.Connect()
		settle()
		wantError(t, other, "other: no answer from the coordinator: the client is closed")
	})
}
