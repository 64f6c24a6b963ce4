package certs_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// folder has the files of one source, and the authority that has signed the certificate in it.
type folder struct {
	t     *testing.T
	dir   string
	ca    *nettest.Authority
	files certs.Files
}

// newFolder returns a folder with a certificate for the name "peer" and 127.0.0.1, and with the root of
// its authority. The certificate is valid for a year.
func newFolder(t *testing.T) *folder {
	t.Helper()
	f := &folder{t: t, dir: t.TempDir(), ca: nettest.NewAuthority(t)}
	f.files.Roots = f.ca.Roots(f.dir)
	f.issue(365 * 24 * time.Hour)
	return f
}

// issue replaces the certificate and its key.
func (f *folder) issue(validFor time.Duration) {
	f.t.Helper()
	f.files.Cert, f.files.Key = f.ca.Issue(f.dir, "peer", validFor)
}

// open opens a source, and closes it at the end of the test.
func (f *folder) open(o certs.Options) *certs.Source {
	f.t.Helper()
	s, err := certs.Open(f.files, o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(s.Close)
	return s
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// end is one end of a connection after its handshake.
type end struct {
	net.Conn
	info credentials.TLSInfo
	err  error // error of the handshake
}

// serial returns the serial number of the certificate that the other end has shown.
func (e *end) serial() string { return e.info.State.PeerCertificates[0].SerialNumber.String() }

// closed waits until the other end has closed the connection.
func (e *end) closed() error {
	_, err := e.Read(make([]byte, 1))
	if err == nil {
		return errors.New("a byte arrived")
	}
	return nil
}

// connect makes a connection over two ends of a transport, and does both handshakes. The ends must be
// closed.
func connect(ctx context.Context, near, far net.Conn, client, server credentials.TransportCredentials) (c, s *end) {
	done := make(chan *end)
	go func() {
		conn, info, err := server.ServerHandshake(far)
		done <- newEnd(far, conn, info, err)
	}()
	conn, info, err := client.ClientHandshake(ctx, "peer:1", near)
	c = newEnd(near, conn, info, err)
	return c, <-done
}

func newEnd(raw, conn net.Conn, info credentials.AuthInfo, err error) *end {
	e := &end{Conn: conn, err: err}
	if err != nil {
		_ = raw.Close()
		e.Conn = raw
	} else if t, ok := info.(credentials.TLSInfo); ok {
		e.info = t
	}
	return e
}

// loopback returns both ends of a TCP connection.
func loopback(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// shake connects client and server over loopback, and closes the connection at the end of the test.
func shake(t *testing.T, client, server credentials.TransportCredentials) (c, s *end) {
	t.Helper()
	near, far := loopback(t)
	c, s = connect(t.Context(), near, far, client, server)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c, s
}

// refusal returns the error with which the server refuses the client: that of the handshake of the
// client, or of its first read.
func (e *end) refusal() error {
	if e.err != nil {
		return e.err
	}
	_, err := e.Read(make([]byte, 1))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// template returns a certificate for "peer" that permits everything.
func template() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "peer"}, DNSNames: []string{"peer"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}
