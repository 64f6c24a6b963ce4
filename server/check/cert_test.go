package check_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"github.com/meshhealth/meshhealth/server/check"
)

const day = 24 * time.Hour

// issue returns a self-signed certificate. Its validity is relative to now.
func issue(t *testing.T, from, to time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "payments"},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func inFile(t *testing.T, certs ...tls.Certificate) string {
	t.Helper()
	var text []byte
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
	}
	return written(t, string(text))
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCertFile(t *testing.T) {
	good, soon := issue(t, -day, 90*day), issue(t, -day, 10*day)
	over, early := issue(t, -2*day, -day), issue(t, day, 90*day)
	wantEvidence(t, "good", check.CertFile(inFile(t, good), 0), machine.Pass)
	wantEvidence(t, "ends soon", check.CertFile(inFile(t, soon), 0), machine.Warn, "CN=payments", "expires on")
	wantEvidence(t, "soon enough", check.CertFile(inFile(t, soon), 5*day), machine.Pass)
	wantEvidence(t, "expired", check.CertFile(inFile(t, over), 0), machine.Fail, "has expired on")
	wantEvidence(t, "not yet", check.CertFile(inFile(t, early), 0), machine.Fail, "not valid before")
	wantEvidence(t, "the first of a chain", check.CertFile(inFile(t, good, soon), 0), machine.Warn)
}

func TestCertFileThatIsNone(t *testing.T) {
	for name, c := range map[string][2]string{
		"key only":  {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no PEM block"},
		"empty":     {"", "no PEM block"},
		"not a DER": {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x509"},
		"huge":      {strings.Repeat("x", 2<<20), "larger than 1048576 bytes"},
	} {
		wantEvidence(t, name, check.CertFile(written(t, c[0]), 0), machine.Fail, c[1])
	}
	wantEvidence(t, "not there", check.CertFile("/no/such/file", 0), machine.Fail, "no such file")
	wantEvidence(t, "negative", check.CertFile("x", -1), machine.Fail, "warn")
}

func TestCertAt(t *testing.T) {
	soon := issue(t, -day, 10*day)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{soon}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(t.Context())
			conn.Close()
		}
	}()
	trusted := x509.NewCertPool()
	trusted.AddCert(soon.Leaf)
	config := &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	wantEvidence(t, "soon", check.CertAt(l.Addr().String(), config, 0), machine.Warn, "expires on")
	wantEvidence(t, "trusted", check.CertAt(l.Addr().String(), config, day), machine.Pass)
	wantEvidence(t, "not trusted", check.CertAt(l.Addr().String(), nil, day), machine.Fail, "x509")
	wantEvidence(t, "no address", check.CertAt("localhost", nil, 0), machine.Fail, "HOST:PORT")
}
