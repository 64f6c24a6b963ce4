package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/input"
)

// TLS names the certificate files of one section, and the rules for the certificate of the peer.
type TLS struct {
	// CA is a file with the root certificates for the certificate of the peer. If it is empty, a
	// client uses the roots of the system, and a server requests no certificate.
	CA string
	// Cert is the file of the coordinator's own certificate, and Key the file of its private
	// key. Both or none must be set. They must be in one folder, because they are replaced
	// together.
	Cert, Key string
	// ServerName is the name that must be in the certificate of a dialled server. Empty means
	// the host that was dialled.
	ServerName string
	// TLS12 means that a dialled server may use TLS 1.2. If it is false, TLS 1.3 is required.
	TLS12 bool

	place place
}

// place is the position of a TLS section in the configuration file: its line and its path of keys.
type place struct {
	line int
	path string
}

// files returns a copy of t without its position in the configuration file. It returns the zero
// value if t is nil.
func (t *TLS) files() TLS {
	if t == nil {
		return TLS{}
	}
	files := *t
	files.place = place{}
	return files
}

// Check reads all certificate files once and returns all faults. Each fault names the key ca, cert
// or key. Call Check before you use [Credentials], because Credentials report no faults: their
// handshakes fail until the files are valid.
func (t *TLS) Check() error { return t.faults().Join() }

func (t *TLS) faults() fields.Errors {
	var errs fields.Errors
	switch {
	case t.Cert != "" && t.Key == "":
		errs.Addf("cert", "is given without key; both or none")
	case t.Cert == "" && t.Key != "":
		errs.Addf("key", "is given without cert; both or none")
	case t.Cert != "" && filepath.Dir(t.Cert) != filepath.Dir(t.Key):
		errs.Addf("key", "%q is not in the folder of cert; both are replaced together, so they must be", t.Key)
	case input.CheckPath(t.Cert) != nil:
		errs.Add("cert", input.CheckPath(t.Cert))
	case t.Cert != "":
		errs.Add("cert", checkPair(t.Cert, t.Key))
	}
	if t.CA != "" {
		errs.Add("ca", checkRoots(t.CA))
	}
	return errs
}

// checkFiles adds the faults of the certificate files to p.
func (t *TLS) checkFiles(p *input.Problems) {
	if t == nil {
		return
	}
	for _, fault := range t.faults() {
		e, ok := errors.AsType[*fields.Error](fault)
		if !ok {
			continue // impossible, because every fault is a *fields.Error
		}
		key := e.Field
		if key == "ca" && t.place.path == "tls" {
			key = "client_ca"
		}
		p.Add(t.place.line, input.Join(t.place.path, key), "%v", e.Err)
	}
}

func checkPair(cert, key string) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return fmt.Errorf("%q expired at %s", cert, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func checkRoots(file string) error {
	if err := input.CheckPath(file); err != nil {
		return err
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("%q has no certificate in it", file)
	}
	return nil
}
