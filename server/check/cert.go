package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// DefaultExpiryWarning is the default of the parameter warn of CertFile, CertAt and Cert: the time
// before the expiry of a certificate at which the check begins to warn.
const DefaultExpiryWarning = 14 * 24 * time.Hour

// maxPEM is the largest size of a PEM file in bytes.
const maxPEM = 1 << 20

// CertFile returns a check of the certificates in a PEM file. The check fails if a certificate has
// expired or is not valid yet. It warns if a certificate expires soon. The parameter warn is the
// time before the expiry at which warnings begin. 0 means DefaultExpiryWarning. Each run reads
// the file again.
func CertFile(path string, warn time.Duration) Func {
	return Cert(func(context.Context) ([]*x509.Certificate, error) { return readCerts(path) }, warn)
}

// CertAt returns a check of the certificates of the TLS server at HOST:PORT. The check warns and
// fails as the check of CertFile does, and verifies the certificates with config. If config is nil,
// the certificates must be valid for HOST and the root certificates of the system.
func CertAt(address string, config *tls.Config, warn time.Duration) Func {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return invalid("address", "is %q; allowed: HOST:PORT", address)
	}
	dialer := &tls.Dialer{Config: config}
	return Cert(func(ctx context.Context) ([]*x509.Certificate, error) {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		return conn.(*tls.Conn).ConnectionState().PeerCertificates, nil
	}, warn)
}

// Cert returns a check of the certificates that the function `get` returns. The check warns and
// fails as the check of CertFile does.
func Cert(get func(context.Context) ([]*x509.Certificate, error), warn time.Duration) Func {
	switch {
	case get == nil:
		return invalid("get", "is nil")
	case warn < 0:
		return invalid("warn", "is %v; allowed: more than 0, 0 for 14 days", warn)
	case warn == 0:
		warn = DefaultExpiryWarning
	}
	return func(ctx context.Context) error {
		certs, err := get(ctx)
		if err != nil {
			return err
		}
		return evaluateCerts(ctx, certs, warn, time.Now())
	}
}

func evaluateCerts(ctx context.Context, certs []*x509.Certificate, warn time.Duration, now time.Time) error {
	if len(certs) == 0 {
		return errors.New("there is no certificate")
	}
	first := certs[0]
	for _, c := range certs {
		if now.Before(c.NotBefore) {
			return fmt.Errorf("the certificate of %q is not valid before %s", c.Subject, stamp(c.NotBefore))
		}
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	left := first.NotAfter.Sub(now)
	server.Observe(ctx, left.Hours()/24, "days")
	switch {
	case left < 0:
		return fmt.Errorf("the certificate of %q has expired on %s", first.Subject, stamp(first.NotAfter))
	case left < warn:
		return health.Warnf("the certificate of %q expires on %s", first.Subject, stamp(first.NotAfter))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

func readCerts(path string) ([]*x509.Certificate, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxPEM:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxPEM)
	}
	return parseCerts(path, text)
}

func parseCerts(path string, text []byte) (certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certs = append(certs, c)
	}
	if certs == nil {
		return nil, fmt.Errorf("%s: no PEM block CERTIFICATE in it", path)
	}
	return certs, nil
}
