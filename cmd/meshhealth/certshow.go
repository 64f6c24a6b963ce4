package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Exit codes of `cert show`.
const (
	exitExpiresSoon = 1
	exitNotValid    = 2
)

func certShowCommand(a *app) *cobra.Command {
	var roots string
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show certificates, and check them",
		Long: `Show the certificates in a file: subject, identity, names, uses and expiry. It also checks whether
an authority in --ca has signed the first one, and whether the key beside the file belongs to it.
Without --ca, it uses the file ca.pem in the same folder.

The exit code is 0 if everything is well, 1 if the certificate expires within 14 days, 2 if it
is not valid now or not signed by --ca, and 3 if the file cannot be read.`,
		Example: `  meshhealth cert show meshhealth-certs/coordinator.pem`,
		Args:    exactlyOne("FILE"),
		RunE:    func(_ *cobra.Command, args []string) error { return certShow(a, args[0], roots) },
	}
	cmd.Flags().StringVar(&roots, "ca", "", "`FILE` with the certificates of the authorities (default: ca.pem beside FILE)")
	return cmd
}

func certShow(a *app, file, roots string) error {
	all, err := readCertificates("FILE", file)
	if err != nil {
		return err
	}
	s := shown{app: a, file: file, leaf: all[0], others: all[1:], now: a.now()}
	if err := s.readRoots(roots); err != nil {
		return err
	}
	for i, c := range all {
		if i > 0 {
			s.line("", "")
		}
		s.describe(c)
	}
	s.checkTime()
	s.checkChain()
	s.checkKey()
	if _, err := io.WriteString(a.stdout, s.text.String()); err != nil {
		return err
	}
	if s.code != exitOK {
		return exitCode(s.code)
	}
	return nil
}

// readCertificates returns the certificates in a file: at least one. what names the argument or flag.
func readCertificates(what, file string) (all []*x509.Certificate, err error) {
	if err := input.CheckPath(file); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", what, file, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, hinted("The file of a certificate begins with -----BEGIN CERTIFICATE-----. Give this file, and not that of its key.",
			"%s: %q has no certificate in it", what, file)
	}
	return all, nil
}

// shown is the output of `cert show` about one file.
type shown struct {
	*app
	file   string
	leaf   *x509.Certificate
	others []*x509.Certificate // certificates after the first one
	now    time.Time

	roots     *x509.CertPool // nil if there is no file of roots
	rootsFile string
	text      strings.Builder
	code      int
}

func (s *shown) readRoots(file string) error {
	if s.rootsFile = file; file == "" {
		s.rootsFile = filepath.Join(filepath.Dir(s.file), "ca.pem")
		if _, err := os.Stat(s.rootsFile); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	all, err := readCertificates("--ca", s.rootsFile)
	if err != nil {
		return err
	}
	s.roots = x509.NewCertPool()
	for _, c := range all {
		s.roots.AddCert(c)
	}
	return nil
}

// line adds one line. Texts of a certificate come from outside, so that control characters are removed.
func (s *shown) line(label, format string, args ...any) {
	fmt.Fprintf(&s.text, "%s\n", strings.TrimRight(fmt.Sprintf("%-9s %s", label, wire.CleanTo(fmt.Sprintf(format, args...), maxShown)), " "))
}

func (s *shown) describe(c *x509.Certificate) {
	s.line("Subject", "%s", c.Subject)
	s.line("Issuer", "%s", c.Issuer)
	for _, uri := range c.URIs {
		s.line("Identity", "%s", uri)
	}
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) > 0 {
		s.line("Names", "%s", strings.Join(names, ", "))
	}
	s.line("For", "%s", uses(c))
	s.line("Valid", "%s to %s", c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
}

// uses returns what a certificate permits, as far as TLS is concerned.
func uses(c *x509.Certificate) string {
	if c.IsCA {
		return "an authority"
	}
	var all []string
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageServerAuth:
			all = append(all, "servers")
		case x509.ExtKeyUsageClientAuth:
			all = append(all, "clients")
		case x509.ExtKeyUsageAny:
			all = append(all, "everything")
		}
	}
	switch {
	case len(all) > 0:
		return strings.Join(all, ", ")
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0:
		return "neither servers nor clients"
	}
	return "everything"
}

// result adds a line about a check, and makes the exit code worse if necessary.
func (s *shown) result(label string, code int, format string, args ...any) {
	s.line(label, format, args...)
	s.code = max(s.code, code)
}

func (s *shown) checkTime() {
	switch left := s.leaf.NotAfter.Sub(s.now); {
	case s.now.Before(s.leaf.NotBefore):
		s.result("Expiry", exitNotValid, "not valid yet: the clock here says %s; set it if it is wrong", s.now.UTC().Format(time.RFC3339))
	case left < 0:
		s.result("Expiry", exitNotValid, "expired %s ago; issue a new certificate, or set the clock here if it is wrong", age(-left))
	case left <= soonExpired:
		s.result("Expiry", exitExpiresSoon, "in %s; issue a new certificate", age(left))
	default:
		s.result("Expiry", exitOK, "in %s", age(left))
	}
}

func (s *shown) checkChain() {
	if s.roots == nil {
		s.line("Chain", "not checked, because there is no %s; give --ca FILE", s.rootsFile)
		return
	}
	between := x509.NewCertPool()
	for _, c := range s.others {
		between.AddCert(c)
	}
	// The time of validity is checked by checkTime. Here it must not hide another fault.
	at := s.now
	if at.Before(s.leaf.NotBefore) || at.After(s.leaf.NotAfter) {
		at = s.leaf.NotBefore
	}
	_, err := s.leaf.Verify(x509.VerifyOptions{Roots: s.roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		s.result("Chain", exitNotValid, "not signed by an authority in %s (%v); give the file of its authority with --ca", s.rootsFile, err)
		return
	}
	s.line("Chain", "signed by an authority in %s", s.rootsFile)
}

// checkKey checks the key beside the file, if there is one.
func (s *shown) checkKey() {
	base := strings.TrimSuffix(s.file, filepath.Ext(s.file))
	for _, key := range []string{base + "-key.pem", base + ".key"} {
		if _, err := os.Stat(key); err != nil {
			continue
		}
		if _, err := tls.LoadX509KeyPair(s.file, key); err != nil {
			s.result("Key", exitNotValid, "%s cannot be used with it: %v", key, err)
			return
		}
		s.line("Key", "%s belongs to it", key)
		return
	}
}
