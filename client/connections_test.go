package client

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/internal/nettest"
)

// secured returns a client that uses TLS to a coordinator of this name.
func (w *world) secured(name string) *Client {
	w.t.Helper()
	ca := nettest.NewAuthority(w.t)
	cert := ca.Certificate("coordinator", time.Hour)
	w.options = append(w.options, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	c, err := New(Config{
		Coordinator: "passthrough:///coordinator",
		Credentials: credentials.NewTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: name, MinVersion: tls.VersionTLS13}),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(w.dial)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (l *connections) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

func TestLinesUnderTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.secured("coordinator")
		w.up()
		mustRegister(t, c, instance())
		wantEqual(t, "lines", c.connections.count(), 1)
		w.kill()
		settle(40 * time.Second)
		wantEqual(t, "connections", w.dials(), 2)
		wantEqual(t, "lines", c.connections.count(), 1)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantEqual(t, "lines", c.connections.count(), 0)
	})
}

func TestLinesForgetFailedHandshakes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.secured("somebody.else")
		w.up()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Register(ctx, instance()); err == nil {
			t.Error("registered with a stranger")
		}
		if w.dials() < 2 {
			t.Errorf("%d dials, want more", w.dials())
		}
		synctest.Wait()
		wantEqual(t, "lines", c.connections.count(), 0)
	})
}

// rude are credentials that do not close a connection after a failed handshake.
type rude struct {
	credentials.TransportCredentials
}

func (rude) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, net.ErrClosed
}

func TestLinesForgetWhatIsRefused(t *testing.T) {
	l := newConnections()
	if _, _, err := (trackingCredentials{rude{}, l}).ClientHandshake(t.Context(), "", nil); err == nil {
		t.Error("no error")
	}
	wantEqual(t, "lines", l.count(), 0)
}

func TestListeningIsCloned(t *testing.T) {
	l := trackingCredentials{credentials.NewTLS(nil), newConnections()}
	clone, ok := l.Clone().(trackingCredentials)
	if !ok || clone.connections != l.connections {
		t.Errorf("the clone is %#v", l.Clone())
	}
}

func TestLinesCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newConnections()
		here, there := net.Pipe()
		defer func() { _ = there.Close() }()
		c := l.add(here)
		time.Sleep(3 * time.Second)
		l.closeSilent(3*time.Second + 1)
		wantEqual(t, "lines that were silent for less", l.count(), 1)
		go func() { _, _ = there.Write([]byte("x")) }()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		l.closeSilent(time.Nanosecond)
		wantEqual(t, "lines that were heard just now", l.count(), 1)
		time.Sleep(time.Second)
		l.closeSilent(time.Second)
		wantEqual(t, "lines", l.count(), 0)
		if _, err := here.Read(make([]byte, 1)); err == nil {
			t.Error("a line that was cut is open")
		}
	})
}
