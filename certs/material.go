package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/internal/fields"
)

// material is the checked content of the files of a Source. It is never changed, so that a handshake
// cannot use a certificate of one content and roots of another.
type material struct {
	own     []tls.Certificate          // one certificate with its key, or none
	roots   *x509.CertPool             // roots for the certificates of peers; nil if there is no such file
	rootSet map[[sha256.Size]byte]bool // hashes of the certificates in roots
}

// expires returns the time at which the own certificate expires. It is zero if there is none.
func (m *material) expires() time.Time {
	if len(m.own) == 0 {
		return time.Time{}
	}
	return m.own[0].Leaf.NotAfter
}

// parse checks a content that was read from the files f. It returns an error with one line for each
// fault. The own certificate must be valid at the time now.
func (c content) parse(f Files, now time.Time) (*material, error) {
	var errs fields.Errors
	errs.Add("Cert", c.cert.err)
	errs.Add("Key", c.key.err)
	errs.Add("Roots", c.roots.err)
	m := &material{}
	if f.Cert != "" && f.Key != "" && c.cert.err == nil && c.key.err == nil {
		errs.Add("Cert", m.parsePair(c, f, now))
	}
	if f.Roots != "" && c.roots.err == nil {
		errs.Add("Roots", m.parseRoots(c.roots.text, f.Roots))
	}
	if len(errs) > 0 {
		return nil, errs.Join()
	}
	return m, nil
}

func (m *material) parsePair(c content, f Files, now time.Time) error {
	if _, err := certificates(c.cert.text); err != nil {
		return fmt.Errorf("%q %w", f.Cert, err)
	}
	pair, err := tls.X509KeyPair(c.cert.text, c.key.text)
	if err != nil {
		return fmt.Errorf("%w: %q and %q; allowed: a certificate and its key, which may be half written now", err, f.Cert, f.Key)
	}
	switch leaf := pair.Leaf; {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%q expired at %s; allowed: a certificate that is valid now", f.Cert, stamp(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%q is valid from %s on, and the clock says %s; allowed: a certificate that is valid now, or set the clock",
			f.Cert, stamp(leaf.NotBefore), stamp(now))
	}
	m.own = []tls.Certificate{pair}
	return nil
}

func (m *material) parseRoots(text []byte, name string) error {
	all, err := certificates(text)
	if err != nil {
		return fmt.Errorf("%q %w", name, err)
	}
	m.roots, m.rootSet = x509.NewCertPool(), map[[sha256.Size]byte]bool{}
	for _, root := range all {
		m.roots.AddCert(root)
		m.rootSet[sha256.Sum256(root.Raw)] = true
	}
	return nil
}

// beginning starts each certificate in a text in PEM format.
var beginning = []byte("-----BEGIN CERTIFICATE-----")

// certificates returns the certificates in a text in PEM format. Every certificate that begins must
// be complete, because fewer roots would end connections. Blocks of other types are skipped.
func certificates(text []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("has an invalid certificate (number %d): %w", len(all)+1, err)
		}
		all = append(all, one)
	}
	switch begun := bytes.Count(text, beginning); {
	case begun == 0:
		return nil, errors.New("has no certificate in it; allowed: certificates in PEM format")
	case len(all) < begun:
		return nil, errors.New("has a certificate that is not complete; allowed: complete certificates, so it may be half written now")
	}
	return all, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
