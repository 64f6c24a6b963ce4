package api

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// All addresses of one IPv6 network are one peer.
func TestPeersOfANetwork(t *testing.T) {
	for _, c := range []struct {
		bits    int
		hosts   []string
		refused string // the peer whose last connection is refused, or empty
	}{
		{0, []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"}, "2001:db8::/64"},
		{0, []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"}, ""},
		{48, []string{"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"}, "2001:db8::/48"},
		{128, []string{"2001:db8::1", "2001:db8::2", "2001:db8::3"}, ""},
		{0, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, ""},
		{0, []string{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"}, "192.0.2.1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(s *setup) { s.Peers = NewPeers(2, c.bits) })
			for i, host := range c.hosts {
				v := w.call(host, insecure.NewCredentials())
				if i < len(c.hosts)-1 || c.refused == "" {
					v.calls()
					continue
				}
				err := v.send(&pb.ListRequest{})
				wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
				wantText(t, err, "2 connections are open from "+c.refused+",")
			}
		})
	}
	// Watch streams are counted by the same peers.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.MaxWatchersPerPeer = 2 })
		for i := range 2 {
			w.call(fmt.Sprintf("2001:db8::%d", i), insecure.NewCredentials()).watch(&pb.WatchRequest{}).entries()
		}
		err := w.call("2001:db8::77", insecure.NewCredentials()).send(&pb.WatchRequest{})
		wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
		wantText(t, err, "from 2001:db8::/64")
	})
}

// A verified peer is counted by its identity: the connections of other peers in its network
// do not count, and its connections from another network do.
func TestPeersByIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		w := newWorld(t, func(s *setup) {
			s.Peers, s.access, s.client = NewPeers(2, 0), friends(), a.client(nil)
			s.creds = a.server(tls.VerifyClientCertIfGiven)
		})
		named := func(name, uri string) *tls.Certificate {
			c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
			if uri != "" {
				parsed, err := url.Parse(uri)
				if err != nil {
					t.Fatal(err)
				}
				c.URIs = []*url.URL{parsed}
			}
			cert := a.Sign(c)
			return &cert
		}
		w.calls()
		w.call(home, a.client(nil)).calls()
		err := w.call(home, a.client(nil)).send(&pb.ListRequest{})
		wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
		ann, bob, spiffe := named("ann", ""), named("bob", ""), named("ann", "spiffe://mesh/pay")
		for _, cert := range []*tls.Certificate{ann, ann, bob, spiffe, spiffe, bob} {
			w.call(home, a.client(cert)).calls()
		}
		for cert, who := range map[*tls.Certificate]string{ann: "CN=ann", spiffe: "spiffe://mesh/pay"} {
			err := w.call("192.0.2.200", a.client(cert)).send(&pb.ListRequest{})
			wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
			wantText(t, err, "2 connections are open from "+who+",")
		}
	})
}

// A new connection beyond a limit closes the oldest of them, so that a client with a
// certificate can always connect.
func TestRefusedConnectionsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, peers := newListener(), NewPeers(1, 0)
		limited := peers.Listen(l)
		var conns []*Conn
		for range MaxRefused + 3 {
			conns = append(conns, accepted(t, limited, l))
		}
		for i, c := range conns {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			_, err := c.Read(make([]byte, 1))
			timeout, open := err.(net.Error)
			open = open && timeout.Timeout()
			if closed, want := !open, i == 1 || i == 2; closed != want {
				t.Errorf("connection %d is closed: %t (%v), want %t", i, closed, err, want)
			}
		}
		if err := conns[MaxRefused+2].identify("spiffe://mesh/pay"); err != nil {
			t.Errorf("a verified peer: %v", err)
		}
		_ = l.Close()
	})
}

// A request that is not complete after 10 s ends its call with an error.
func TestUnfinishedRequest(t *testing.T) {
	for method, req := range map[string]proto.Message{
		healthpb.Health_Check_FullMethodName:           &healthpb.HealthCheckRequest{Service: "pay"},
		healthpb.Health_Watch_FullMethodName:           &healthpb.HealthCheckRequest{Service: "pay"},
		pb.HealthService_Watch_FullMethodName:          &pb.WatchRequest{Names: []string{"pay"}},
		pb.HealthService_List_FullMethodName:           &pb.ListRequest{PageSize: 10},
		pb.RegistryService_Register_FullMethodName:     &pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/1")}},
		pb.AdminService_ListTransitions_FullMethodName: &pb.ListTransitionsRequest{Name: "pay"},
	} {
		for _, cut := range []int{-1, 3, 6} { // nothing, a part of the length, a part of the message
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				p := newRawPeer(t, w.listener.dialFrom(home))
				stream := p.open(method)
				if cut > 0 {
					p.send(stream, req, cut)
				}
				time.Sleep(wire.RequestTimeout - time.Second)
				if p.ended(stream, "grpc-status") != "" {
					t.Errorf("%s, %d: ended too early", method, cut)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if p.ended(stream, "grpc-status") != "8" || !strings.Contains(p.ended(stream, "grpc-message"), "not complete after 10s") {
					t.Errorf("%s, %d: ended with %q (%s)", method, cut, p.ended(stream, "grpc-message"), p.ended(stream, "grpc-status"))
				}
			})
		}
	}
}

// Only Register accepts large requests. A large request of an unverified peer is refused
// before it is read.
func TestRequestsByMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for _, req := range []any{
			&pb.CheckRequest{Service: long(wire.MaxAsk)},
			&pb.ListRequest{PageToken: long(wire.MaxAsk)},
			&pb.WatchRequest{ResumeToken: long(wire.MaxAsk)},
			&pb.DeregisterRequest{Service: long(wire.MaxAsk)},
			&pb.SetOverrideRequest{Reason: long(wire.MaxAsk)},
			&pb.ReportRequest{Reason: long(wire.MaxReport)},
		} {
			err := w.send(req)
			wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
			wantText(t, err, "the request has", "allowed for /meshhealth.v1.", "at most")
		}
		r := instance("pay/1")
		r.Version = long(3 << 20)
		wantCode(t, w.send(&pb.RegisterRequest{Registrations: []*pb.Registration{r}}), codes.InvalidArgument, "")
	})
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		w := newWorld(t, func(s *setup) {
			s.access, s.client = friends(), a.client(nil)
			s.creds = a.server(tls.VerifyClientCertIfGiven)
		})
		r := instance("pay/1")
		r.Version = long(wire.MaxAsk)
		for _, req := range []any{&pb.RegisterRequest{Registrations: []*pb.Registration{r}}, &pb.CheckRequest{Service: long(wire.MaxAsk)}} {
			err := w.send(req)
			wantCode(t, err, codes.ResourceExhausted, "")
			wantText(t, err, "larger than max", fmt.Sprint(wire.MaxAsk))
		}
		w.calls()
	})
}

// The server notices a client that vanished without closing its connection.
func TestVanishedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		p := newRawPeer(t, w.listener.dialFrom(home))
		p.call(pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{Names: []string{"pay"}})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := w.server.Watchers(); n != 1 {
			t.Fatalf("%d watchers: one that answers pings was cut", n)
		}
		p.raw.Vanish()
		time.Sleep(wire.PingAfter + wire.PingTimeout + time.Second)
		synctest.Wait()
		if n := w.server.Watchers(); n != 0 {
			t.Errorf("%d watchers after it has vanished", n)
		}
	})
}
