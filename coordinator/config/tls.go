package config

import (
	"errors"

	"github.com/meshhealth/meshhealth/certs"
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

// Open reads the files, and reads them again whenever they change. The caller must close the source.
func (t *TLS) Open(o certs.Options) (*certs.Source, error) { return certs.Open(t.names(), o) }

// Dial returns the settings for a server that is dialled with these files.
func (t *TLS) Dial() certs.Dial { return certs.Dial{ServerName: t.ServerName, TLS12: t.TLS12} }

func (t *TLS) names() certs.Files { return certs.Files{Cert: t.Cert, Key: t.Key, Roots: t.CA} }

// Check reads all certificate files once and returns all faults. Each fault names the key ca, cert
// or key.
func (t *TLS) Check() error { return t.faults().Join() }

// keyOf has the key of the configuration file for each field of certs.Files.
var keyOf = map[string]string{"Cert": "cert", "Key": "key", "Roots": "ca"}

func (t *TLS) faults() fields.Errors {
	var errs fields.Errors
	for _, f := range []struct{ key, path string }{{"cert", t.Cert}, {"key", t.Key}, {"ca", t.CA}} {
		if f.path != "" {
			errs.Add(f.key, input.CheckPath(f.path))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	for _, fault := range fields.Flatten(t.names().Check()) {
		if e, ok := errors.AsType[*fields.Error](fault); ok {
			errs.Add(keyOf[e.Field], e.Err)
		}
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
