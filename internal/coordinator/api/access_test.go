package api

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// guarded is a request that needs a certificate, and the action that a refusal names.
type guarded struct {
	wants string
	req   any
}

// guards returns a request of each kind. pay/2 is unknown, and a refusal must not reveal
// that.
func guards(l *pb.Lease) []guarded {
	unknown := &pb.Lease{Service: "pay", Instance: "2", LeaseId: "a1"}
	return []guarded{
		{"register pay/3", &pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/3")}}},
		{"register pay/1", renewal(l)},
		{"register pay/2", renewal(unknown)},
		{"register pay/1", farewell(l)},
		{"register pay/2", farewell(unknown)},
		{"report the status of pay/1", pushed(l, pb.Status_STATUS_SERVING)},
		{"report the status of pay/2", pushed(unknown, pb.Status_STATUS_SERVING)},
		{"override pay/1", good()},
		{"override pay/2", forAnHour("pay/2", pb.Status_STATUS_SERVING)},
		{"override pay/1", &pb.ClearOverrideRequest{Name: "pay/1"}},
		{"override pay/2", &pb.ClearOverrideRequest{Name: "pay/2"}},
		{"read pay with detail: evidence", &pb.ListTransitionsRequest{Name: "pay"}},
		{"read * with detail: evidence", &pb.ListTransitionsRequest{Name: "*"}},
		{"read the coordinator with detail: evidence", &pb.ListTransitionsRequest{}},
		{"read * with detail: evidence", &pb.GetCoordinatorRequest{}},
		{"read the coordinator with detail: evidence", &pb.ListOverridesRequest{}},
		{"read pay/1 with detail: evidence", &pb.ExplainRequest{Name: "pay/1"}},
		{"override zone=eu-1", forAnHour("zone=eu-1", pb.Status_STATUS_SERVING)},
		{"override pay", &pb.ClearOverrideRequest{Name: "pay"}},
	}
}

// stranger is an unverified caller, and the credentials with which it connects.
type stranger struct {
	what   string
	server func(a *authority) credentials.TransportCredentials // nil: plaintext
	client func(a *authority) credentials.TransportCredentials
}

func asking(auth tls.ClientAuthType) func(*authority) credentials.TransportCredentials {
	return func(a *authority) credentials.TransportCredentials { return a.server(auth) }
}

func plaintext(*authority) credentials.TransportCredentials { return insecure.NewCredentials() }

func nobody(a *authority) credentials.TransportCredentials { return a.client(nil) }

func known(a *authority) credentials.TransportCredentials {
	return a.client(a.person(time.Time{}, x509.ExtKeyUsageClientAuth))
}

func forged(a *authority) credentials.TransportCredentials {
	other := newAuthority(a.t)
	return a.client(other.person(time.Time{}, x509.ExtKeyUsageClientAuth))
}

// vouched returns a world in which pay/0 and pay/1 are registered.
func vouched(t *testing.T, edit func(*setup)) (*world, *pb.Lease) {
	t.Helper()
	w := newWorld(t, edit)
	specs, err := w.registry.Register(t.Context(), must(wire.Registrations(change(func(*pb.Registration) {}))))
	if err != nil {
		t.Fatal(err)
	}
	return w, leaseOf(must(wire.ParseInstance("pay/1")), specs[1])
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func TestStrangersMayReadOnly(t *testing.T) {
	for _, c := range []stranger{
		{"plaintext beyond loopback", nil, plaintext},
		{"TLS without a certificate", asking(tls.VerifyClientCertIfGiven), nobody},
		{"a certificate that the server did not request", asking(tls.NoClientCert), known},
		{"a certificate that was not verified", asking(tls.RequestClientCert), known},
		{"a forged certificate that was not verified", asking(tls.RequireAnyClientCert), forged},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthority(t)
				w, l := vouched(t, func(s *setup) {
					s.access, s.client = friends(), c.client(a)
					if c.server != nil {
						s.creds = c.server(a)
					}
				})
				in := w.watch(&pb.WatchRequest{})
				in.wants("pay/0 STARTING", "pay/1 STARTING")
				for _, g := range guards(l) {
					err := w.send(g.req)
					wantCode(t, err, codes.PermissionDenied, wire.ReasonNotAllowed)
					wantText(t, err, "not allowed: a caller without an identity may not "+g.wants+"; allowed: what a rule of the access policy says")
				}
				in.wants() // nothing has changed
				w.mayRead(false)
			})
		})
	}
}

func TestFriendsMayDoEverything(t *testing.T) {
	for _, c := range []struct {
		stranger
		trusting bool
	}{
		{stranger{"plaintext, trusting", nil, plaintext}, true},
		{stranger{"TLS without a certificate, trusting", asking(tls.NoClientCert), nobody}, true},
		{stranger{"TLS with one if given", asking(tls.VerifyClientCertIfGiven), known}, false},
		{stranger{"TLS with one that must be", asking(tls.RequireAndVerifyClientCert), known}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthority(t)
				w, l := vouched(t, func(s *setup) {
					if s.client = c.client(a); !c.trusting {
						s.access = friends()
					}
					if c.server != nil {
						s.creds = c.server(a)
					}
				})
				for _, req := range []any{
					renewal(l), good(), &pb.ListTransitionsRequest{}, &pb.GetCoordinatorRequest{}, &pb.ListOverridesRequest{},
					&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/3")}},
				} {
					if err := w.send(req); err != nil {
						t.Errorf("%T: %v", req, err)
					}
				}
				w.report(pushed(l, pb.Status_STATUS_SERVING)).open()
				w.is("pay/1 MAINTENANCE")
				w.mayRead(true)
				for _, req := range []any{&pb.ClearOverrideRequest{Name: "pay/1"}, farewell(l)} {
					if err := w.send(req); err != nil {
						t.Errorf("%T: %v", req, err)
					}
				}
			})
		})
	}
}

// mayRead fails the test unless the caller can read all states. A friend must see addresses
// and authors, and another caller must not.
func (w *world) mayRead(friend bool) {
	w.t.Helper()
	h := w.check("pay/1")
	if (h.GetAddress() == "192.0.2.7:80") != friend || (h.GetOverride().GetAuthor() != "") != friend {
		w.t.Errorf("friend %v: Check: %v", friend, h)
	}
	list, err := w.mesh.List(w.t.Context(), &pb.ListRequest{Selector: &pb.Selector{Services: []string{"pay"}}})
	if err != nil || len(list.GetEntries()) < 3 || (list.GetEntries()[2].GetAddress() != "") != friend {
		w.t.Errorf("friend %v: List: %v, %v", friend, list, err)
	}
	for _, e := range w.watch(&pb.WatchRequest{Names: []string{"pay/1"}}).entries() {
		if (e.GetAddress() != "") != friend {
			w.t.Errorf("friend %v: Watch: %v", friend, e)
		}
	}
	if _, err := healthpb.NewHealthClient(w.conn).Check(w.t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		w.t.Errorf("friend %v: the stock Check: %v", friend, err)
	}
}

// A client with an invalid certificate is refused in the TLS handshake. Other connections
// are not affected.
func TestBadCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		w, l := vouched(t, func(s *setup) {
			s.access, s.creds, s.client = friends(), a.server(tls.VerifyClientCertIfGiven), known(a)
		})
		for what, creds := range map[string]credentials.TransportCredentials{
			"another authority's": forged(a),
			"expired":             a.client(a.person(time.Now().Add(-time.Hour), x509.ExtKeyUsageClientAuth)),
			"that of a server":    a.client(a.person(time.Time{}, x509.ExtKeyUsageServerAuth)),
			"plaintext":           insecure.NewCredentials(),
		} {
			bad := w.call("192.0.2.66", creds)
			if err := bad.send(renewal(l)); status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v", what, err)
			}
			if err := w.send(renewal(l)); err != nil {
				t.Errorf("a friend beside %s: %v", what, err)
			}
		}
	})
}

// A certificate is verified when a connection begins, and holds for that connection only.
func TestCertificatesAreOfTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		w, l := vouched(t, func(s *setup) {
			s.access, s.creds, s.client = friends(), a.server(tls.VerifyClientCertIfGiven), known(a)
		})
		other := w.call(home, nobody(a))
		for range 3 {
			if err := w.send(renewal(l)); err != nil {
				t.Error(err)
			}
			wantCode(t, other.send(renewal(l)), codes.PermissionDenied, wire.ReasonNotAllowed)
		}
	})
}
