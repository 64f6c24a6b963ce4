package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Defaults and bounds.
const (
	// DefaultDays is how long a certificate is valid, in days.
	DefaultDays = 90
	// MaxDays is the largest number of days.
	MaxDays = 825
	// years is how long the authority itself is valid.
	years = 10
	// early is how long before now a certificate is valid, because clocks differ.
	early = time.Hour
)

// Authority is a certificate authority in a folder.
type Authority struct {
	dir    string
	domain string // trust domain
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

// Certificate is a certificate in the folder of an authority.
type Certificate struct {
	*x509.Certificate
	// File is the file of the certificate, and KeyFile that of its key. They are in the folder of the
	// authority.
	File, KeyFile string
}

// ErrExists reports that a file would be overwritten.
var ErrExists = errors.New("exists already")

// New makes an authority for a trust domain, and writes its files into the folder dir, which it makes
// if necessary. It changes nothing if one of its files or of the files of the subjects exists.
func New(dir, domain string, now time.Time, subjects ...*Subject) (*Authority, error) {
	if err := CheckDomain(domain); err != nil {
		return nil, fmt.Errorf("domain: %w", err)
	}
	a := &Authority{dir: dir, domain: domain}
	files := []string{a.File(), a.KeyFile()}
	for _, s := range subjects {
		if err := s.Check(); err != nil {
			return nil, err
		}
		files = append(files, a.place(s).File, a.place(s).KeyFile)
	}
	for _, file := range files {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s %w", file, ErrExists)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "meshhealth CA of " + domain, Organization: []string{domain}},
		NotBefore: now.Add(-early), NotAfter: now.AddDate(years, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if a.cert, err = a.sign(template, a.key); err != nil {
		return nil, err
	}
	return a, a.save("ca", a.cert, a.key)
}

// Open reads the authority in a folder.
func Open(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	pair, err := tls.LoadX509KeyPair(a.File(), a.KeyFile())
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA || len(pair.Leaf.Subject.Organization) != 1 || CheckDomain(pair.Leaf.Subject.Organization[0]) != nil {
		return nil, fmt.Errorf("%s is no authority that cert init has made", a.File())
	}
	a.cert, a.key, a.domain = pair.Leaf, key, pair.Leaf.Subject.Organization[0]
	return a, nil
}

// File returns the name of the file with the certificate of the authority.
func (a *Authority) File() string { return filepath.Join(a.dir, "ca.pem") }

// KeyFile returns the name of the file with the key of the authority.
func (a *Authority) KeyFile() string { return filepath.Join(a.dir, "ca-key.pem") }

// Certificate returns the certificate of the authority itself.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Domain returns the trust domain.
func (a *Authority) Domain() string { return a.domain }

// Find returns the certificate of a subject in the folder, or nil if there is none.
func (a *Authority) Find(s *Subject) (*Certificate, error) {
	c := a.place(s)
	text, err := os.ReadFile(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s has no certificate in it", c.File)
	}
	if c.Certificate, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	return c, nil
}

// place returns the names of the files of a subject.
func (a *Authority) place(s *Subject) *Certificate {
	return &Certificate{File: filepath.Join(a.dir, s.file()+".pem"), KeyFile: filepath.Join(a.dir, s.file()+"-key.pem")}
}

// Issue makes a key and a certificate for a subject, which is valid for some days from now. It
// replaces the files of an earlier certificate of the subject, each in one step. A reader may find the
// new key beside the old certificate for a moment.
func (a *Authority) Issue(s *Subject, days int, now time.Time) (*Certificate, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if days < 1 || days > MaxDays {
		return nil, fmt.Errorf("days: is %d; allowed: 1 to %d", days, MaxDays)
	}
	until := now.AddDate(0, 0, days)
	if until.After(a.cert.NotAfter) {
		return nil, fmt.Errorf("days: the certificate would be valid until %s, and its authority only until %s; allowed: less, or a new authority in another folder",
			until.UTC().Format(time.DateOnly), a.cert.NotAfter.UTC().Format(time.DateOnly))
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: s.file(), Organization: []string{a.domain}}, NotBefore: now.Add(-early), NotAfter: until,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: s.usages(), URIs: []*url.URL{s.uri(a.domain)},
	}
	s.addHosts(template)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := a.place(s)
	if c.Certificate, err = a.sign(template, key); err != nil {
		return nil, err
	}
	return c, a.save(s.file(), c.Certificate, key)
}

// sign signs a certificate for a key. The certificate of the authority signs itself.
func (a *Authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// save writes NAME.pem and NAME-key.pem.
func (a *Authority) save(name string, c *x509.Certificate, key *ecdsa.PrivateKey) error {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		replace(filepath.Join(a.dir, name+"-key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600),
		replace(filepath.Join(a.dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o644),
	)
}

// replace writes a file in one step: another process sees the old content or the new one.
func replace(name string, text []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // fails if the file was renamed
	_, err = temporary.Write(text)
	if err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
