package config

import (
	"crypto/tls"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// TestCertificatesAreReadAgain checks that a handshake uses the present content of the files.
func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	ca := nettest.NewAuthority(t)
	cert, key := ca.Issue(dir, "mesh", time.Hour)
	creds, err := serverCredentials(&TLS{Cert: cert, Key: key}, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer creds.Close()
	before := shown(t, creds)
	if again := shown(t, creds); again.Cmp(before) != 0 {
		t.Error("another certificate, though the files are the same")
	}
	ca.Issue(dir, "mesh", time.Hour)
	for deadline := time.Now().Add(10 * time.Second); shown(t, creds).Cmp(before) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the old certificate is shown for ten seconds")
		}
	}
}

// TestHTTPConfig checks that the HTTP port shows the same certificate as the gRPC port, and speaks HTTP/2.
func TestHTTPConfig(t *testing.T) {
	cert, key := nettest.NewAuthority(t).Issue(t.TempDir(), "mesh", time.Hour)
	creds, err := ServerCredentials(&TLS{Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer creds.Close()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		_, _ = io.Copy(io.Discard, tls.Server(far, creds.HTTPConfig()))
	}()
	c := tls.Client(near, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // what is shown is looked at
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := c.ConnectionState()
	if state.PeerCertificates[0].SerialNumber.Cmp(shown(t, creds)) != 0 || state.NegotiatedProtocol != "h2" || state.Version != tls.VersionTLS13 {
		t.Errorf("it shows %v and speaks %q", state.PeerCertificates[0].SerialNumber, state.NegotiatedProtocol)
	}
}

// TestHTTPTLS checks when the HTTP port speaks TLS.
func TestHTTPTLS(t *testing.T) {
	cert, key := nettest.NewAuthority(t).Issue(t.TempDir(), "mesh", time.Hour)
	files := &TLS{Cert: cert, Key: key}
	for _, c := range []struct {
		tls     *TLS
		httpTLS string
		err     error
		want    bool
	}{{nil, "", nil, false}, {nil, coordinator.Off, nil, false}, {nil, On, ErrNoHTTPTLS, false}, {files, "", nil, true}, {files, On, nil, true}, {files, coordinator.Off, nil, false}} {
		s := &Settings{TLS: c.tls, HTTPTLS: c.httpTLS}
		cfg, closeFiles, err := s.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		closeFiles()
		if !errors.Is(s.Check(), c.err) || cfg.HTTPTLS != nil != c.want {
			t.Errorf("tls %v, http_tls %q: %v, TLS %v", c.tls != nil, c.httpTLS, s.Check(), cfg.HTTPTLS != nil)
		}
	}
}

// shown returns the serial number of the certificate that a caller receives.
func shown(t *testing.T, creds credentials.TransportCredentials) *big.Int {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		if conn, _, err := creds.ServerHandshake(far); err == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
	}()
	c := tls.Client(near, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // what is shown is looked at
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber
}
