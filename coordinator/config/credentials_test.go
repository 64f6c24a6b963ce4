package config

import (
	"crypto/tls"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/nettest"
	"google.golang.org/grpc/credentials"
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
