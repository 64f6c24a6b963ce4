package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	template := a.template("authority", time.Hour)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) template(name string, lasts time.Duration) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lasts),
	}
}

// issue writes NAME.pem and NAME.key into dir.
func (a *authority) issue(dir, name string, lasts time.Duration) (cert, key string) {
	a.t.Helper()
	private := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, a.template(name, lasts), a.cert, private.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(dir, name+".pem", "CERTIFICATE", der), a.write(dir, name+".key", "PRIVATE KEY", pkcs8)
}

func (a *authority) roots(dir string) string {
	return a.write(dir, "ca.pem", "CERTIFICATE", a.cert.Raw)
}

func (a *authority) write(dir, name, kind string, der []byte) string {
	a.t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return name
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// coordinates runs the coordinator command, and returns where it listens.
func coordinates(t *testing.T, args ...string) string {
	t.Helper()
	var s shell
	a := s.app()
	at := make(chan string, 1)
	a.listening = func(grpc, _ string) { at <- grpc }
	a.stderr = io.Discard
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	args = append([]string{"coordinator", "--memory", "--listen", "127.0.0.1:0", "--http", "off"}, args...)
	go func() { ended <- a.run(ctx, args) }()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitOK {
			t.Errorf("the coordinator ended with %d", code)
		}
	})
	select {
	case address := <-at:
		return address
	case code := <-ended:
		t.Fatalf("the coordinator ended with %d", code)
		return ""
	}
}

// TestTLS: everybody may read, only who shows a certificate may register.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	roots := ca.roots(dir)
	cert, key := ca.issue(dir, "mesh", time.Hour)
	mine, myKey := ca.issue(dir, "deploy", time.Hour)
	at := coordinates(t, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", roots)
	l := &live{t: t, at: at, shell: shell{env: map[string]string{coordinatorEnv: at}}}
	register := []string{"register", "pay/a", "--address", "127.0.0.1:9", "--tls-ca", roots}
	if _, stderr := l.does(3, register...); !strings.Contains(stderr, "Show a client certificate the coordinator trusts") {
		t.Errorf("%q", stderr)
	}
	l.does(0, append(register, "--tls-cert", mine, "--tls-key", myKey)...)
	if stdout, _ := l.does(1, "status", "pay", "--tls-ca", roots); !strings.Contains(stdout, "pay/a") {
		t.Errorf("%q", stdout)
	}
	for hint, args := range map[string][]string{
		"It may want TLS":                  {"status"},
		"Check --tls-ca":                   {"status", "--tls-ca", newAuthority(t).roots(t.TempDir())},
		"valid for mesh, not other":        {"status", "--tls-ca", roots, "--server-name", "other"},
		"--tls-cert: is given without key": {"status", "--tls-cert", mine},
		"tls: private key does not match":  {"status", "--tls-cert", mine, "--tls-key", key},
	} {
		if _, stderr := l.does(3, args...); !strings.Contains(stderr, hint) {
			t.Errorf("%q: %q", args, stderr)
		}
	}
}

// TestWrongTLSFiles: told before anything listens.
func TestWrongTLSFiles(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	old, oldKey := ca.issue(dir, "old", -time.Minute)
	cert, key := ca.issue(dir, "mesh", time.Hour)
	other, otherKey := ca.issue(t.TempDir(), "other", time.Hour)
	var s shell
	for want, args := range map[string][]string{
		"--tls-cert: \"" + old + "\" expired at ":          {"--tls-cert", old, "--tls-key", oldKey},
		"--tls-cert: tls: private key does not match":      {"--tls-cert", cert, "--tls-key", oldKey},
		"--tls-key: \"" + otherKey + "\" is not in the fo": {"--tls-cert", cert, "--tls-key", otherKey},
		"--tls-client-ca: \"" + key + "\" has no certific": {"--tls-cert", cert, "--tls-key", key, "--tls-client-ca", key},
		"--tls-cert: open " + other + "x: no such":         {"--tls-cert", other + "x", "--tls-key", otherKey},
	} {
		_, stderr, code := s.run(t.Context(), append([]string{"coordinator", "--check-config"}, args...)...)
		if code != exitFail || !strings.Contains(stderr, want) {
			t.Errorf("%q: code %d, %q, want %q", args, code, stderr, want)
		}
	}
}

// TestCertificatesAreReadAgain: what the files hold by the time of a handshake
// is shown; connections that are open stay.
func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	cert, key := ca.issue(dir, "mesh", time.Hour)
	creds, err := serverCreds(tlsFiles{Cert: cert, Key: key}, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer creds.close()
	before := shown(t, creds)
	if again := shown(t, creds); again.Cmp(before) != 0 {
		t.Error("another certificate, though the files are the same")
	}
	ca.issue(dir, "mesh", time.Hour)
	for deadline := time.Now().Add(10 * time.Second); shown(t, creds).Cmp(before) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the old certificate is shown for ten seconds")
		}
	}
}

// shown returns the serial number of the certificate a caller sees.
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
