package follow

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/nettest"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// attemptsOfAKind is the number of attempts for each kind of mismatch. What a client
// sees first depends on which of two packets arrives first.
const attemptsOfAKind = 50

// grpcAt serves gRPC on a socket until the test ends, and returns the address.
func grpcAt(t *testing.T, c credentials.TransportCredentials) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.Creds(c))
	var running sync.WaitGroup
	running.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() { g.Stop(); running.Wait() })
	return l.Addr().String()
}

// TestTLSMismatches tests real servers on real sockets that disagree with the client
// about TLS. Each attempt must be a fault of the configuration.
func TestTLSMismatches(t *testing.T) {
	ca, other := nettest.NewAuthority(t), nettest.NewAuthority(t)
	server := tls.Config{Certificates: []tls.Certificate{ca.Certificate("localhost", time.Hour)}, NextProtos: []string{"h2"}}
	plain := credentials.NewTLS(server.Clone())
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	mutual := credentials.NewTLS(server.Clone())
	server.MaxVersion = tls.VersionTLS12
	mutual12 := credentials.NewTLS(server.Clone())
	trusting := func(certs ...tls.Certificate) credentials.TransportCredentials {
		return credentials.NewTLS(&tls.Config{RootCAs: ca.Pool(), Certificates: certs})
	}
	presents := func(cert tls.Certificate) credentials.TransportCredentials {
		return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}})
	}
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	defer web.Close()
	for kind, c := range map[string]struct {
		address string
		client  credentials.TransportCredentials
	}{
		"plaintext to TLS":                                {grpcAt(t, plain), nil},
		"plaintext to mutual TLS":                         {grpcAt(t, mutual), nil},
		"plaintext to a web server's TLS":                 {web.Listener.Addr().String(), nil},
		"plaintext to TLS that answers with an alert":     {answers(t, reads("\x15\x03\x01\x00\x02\x02\x46")), nil},
		"plaintext to TLS that alerts, byte by byte":      {answers(t, slowly("\x15\x03\x01\x00\x02\x02\x46")), nil},
		"TLS to plaintext":                                {grpcAt(t, insecure.NewCredentials()), trusting()},
		"no client certificate":                           {grpcAt(t, mutual), trusting()},
		"no client certificate, TLS 1.2":                  {grpcAt(t, mutual12), trusting()},
		"the client certificate of another authority":     {grpcAt(t, mutual), trusting(other.Certificate("client", time.Hour))},
		"a client certificate that has expired":           {grpcAt(t, mutual), trusting(ca.Certificate("client", -time.Minute))},
		"a client certificate that has expired, 1.2":      {grpcAt(t, mutual12), trusting(ca.Certificate("client", -time.Minute))},
		"a server certificate of another authority":       {grpcAt(t, presents(other.Certificate("localhost", time.Hour))), trusting()},
		"a server certificate with another name":          {grpcAt(t, presents(ca.Certificate("other", time.Hour))), trusting()},
		"a server certificate that has expired":           {grpcAt(t, presents(ca.Certificate("localhost", -time.Minute))), trusting()},
		"a server that has no protocol in common with us": {grpcTLSWithout(t, ca), trusting()},
	} {
		t.Run(kind, func(t *testing.T) {
			for range attemptsOfAKind {
				if got := dialOnce(t, c.address, c.client); got.kind != misconfigured || got.cause != health.CauseTLS {
					t.Fatalf("%+v; want kind %d, cause %v", got, misconfigured, health.CauseTLS)
				}
			}
		})
	}
}

// grpcTLSWithout is a server that speaks TLS and no HTTP/2.
func grpcTLSWithout(t *testing.T, ca *nettest.Authority) string {
	return answers(t, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{ca.Certificate("localhost", time.Hour)}, NextProtos: []string{"other"}}).Handshake()
	})
}

// slowly answers like reads, with one packet for each byte, and keeps the connection.
func slowly(answer string) func(net.Conn) {
	return func(c net.Conn) {
		reads("")(c)
		for i := range len(answer) {
			_, _ = io.WriteString(c, answer[i:i+1])
		}
		_, _ = io.Copy(io.Discard, c)
	}
}

// TestNoTLSMismatch tests that a target which closes the connection without an answer
// is no TLS mismatch, unless it answers in TLS.
func TestNoTLSMismatch(t *testing.T) {
	for kind, with := range map[string]func(net.Conn){
		"hangs up at once":           func(net.Conn) {},
		"hangs up after the preface": reads(""),
		"resets": func(c net.Conn) {
			if c, ok := c.(*net.TCPConn); ok {
				_ = c.SetLinger(0)
			}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			address := answers(t, with)
			for range attemptsOfAKind {
				if got := dialOnce(t, address, nil); got.kind != pathFault || got.waited {
					t.Fatalf("%+v; want kind %d", got, pathFault)
				}
			}
		})
	}
}

// TestAlertAfterABrokenPipe tests a target that requires a client certificate: it sends
// an alert and closes. The alert counts even if our write fails first.
func TestAlertAfterABrokenPipe(t *testing.T) {
	ca := nettest.NewAuthority(t)
	closed := make(chan struct{}, 1)
	address := answers(t, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_ = tls.Server(c, &tls.Config{
			Certificates: []tls.Certificate{ca.Certificate("localhost", time.Hour)}, NextProtos: []string{"h2"},
			ClientAuth: tls.RequireAnyClientCert,
		}).Handshake()
		if c, ok := c.(*net.TCPConn); ok {
			_ = c.SetLinger(0)
		}
		_ = c.Close()
		closed <- struct{}{}
	})
	late := lateCredentials{credentials.NewTLS(&tls.Config{RootCAs: ca.Pool()}), closed}
	for range attemptsOfAKind {
		if got := dialOnce(t, address, late); got.kind != misconfigured || got.cause != health.CauseTLS {
			t.Fatalf("%+v; want kind %d, cause %v", got, misconfigured, health.CauseTLS)
		}
	}
}

// dialOnce makes one attempt at an address like a follower, and returns the finding.
func dialOnce(t *testing.T, address string, c credentials.TransportCredentials) finding {
	t.Helper()
	p := New(Config{Targets: &wire.Targets{}, Dial: DialPolicy{Credentials: c}}).pool
	e := p.acquire(p.keyOf(health.ID{Service: "pay", Instance: "a"}, &health.Spec{Address: address, ServerName: "localhost"}))
	defer p.release(e)
	err := e.connect(t.Context(), 0).err
	if err == nil {
		t.Fatal("the dial succeeded")
	}
	return classifyDial(err)
}

// lateCredentials delays the end of a handshake until the target has closed the
// connection.
type lateCredentials struct {
	credentials.TransportCredentials
	closed <-chan struct{}
}

// ClientHandshake implements credentials.TransportCredentials.
func (c lateCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, conn)
	if err == nil {
		<-c.closed
	}
	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (c lateCredentials) Clone() credentials.TransportCredentials {
	return lateCredentials{c.TransportCredentials.Clone(), c.closed}
}
