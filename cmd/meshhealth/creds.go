package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/tls/certprovider"
	"google.golang.org/grpc/credentials/tls/certprovider/pemfile"
)

// certRefresh is how often certificate files are looked at.
const certRefresh = 10 * time.Second

// tlsFiles names certificates and what to expect of the other side.
type tlsFiles struct {
	CA         string // roots of the other side; empty: the system's, or none asked for
	Cert, Key  string // our own; both or none
	ServerName string // in the other side's certificate; empty: as it was dialled
}

// fieldError is an error about one field of a configuration.
type fieldError struct {
	field string
	err   error
}

func (e *fieldError) Error() string { return e.field + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// check reads all files once, and reports everything that is wrong, by field.
// The provider would only wait for bad ones to become good.
func (f *tlsFiles) check() []*fieldError {
	var errs []*fieldError
	add := func(field string, err error) {
		if err != nil {
			errs = append(errs, &fieldError{field, err})
		}
	}
	switch {
	case f.Cert != "" && f.Key == "":
		add("cert", errors.New("is given without key; both or none"))
	case f.Cert == "" && f.Key != "":
		add("key", errors.New("is given without cert; both or none"))
	case f.Cert != "" && filepath.Dir(f.Cert) != filepath.Dir(f.Key):
		add("key", fmt.Errorf("%q is not in the folder of cert; both are replaced together, so they must be", f.Key))
	case f.Cert != "":
		add("cert", checkPair(f.Cert, f.Key))
	}
	if f.CA != "" {
		add("ca", checkRoots(f.CA))
	}
	return errs
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
	pem, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("%q has no certificate in it", file)
	}
	return nil
}

// reloading are credentials whose files may be replaced at any time: each
// handshake uses what they hold by then. Nothing of a session outlives its
// connection, or a certificate that is no longer trusted would.
type reloading struct {
	material certprovider.Provider // nil: no files
	// name is what the other side must be, if not what it was dialled as: what
	// we were configured with goes before what an instance registers with. It
	// is not the instance's to choose who it may be.
	name   string
	config func(km *certprovider.KeyMaterial) *tls.Config
}

// clientCreds are for dialling.
func clientCreds(f tlsFiles, refresh time.Duration) (*reloading, error) {
	return newReloading(f, refresh, func(km *certprovider.KeyMaterial) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: km.Roots, Certificates: km.Certs}
	})
}

// serverCreds are for listening. Callers without a certificate may still read;
// what needs one is refused call by call.
func serverCreds(f tlsFiles, refresh time.Duration) (*reloading, error) {
	return newReloading(f, refresh, func(km *certprovider.KeyMaterial) *tls.Config {
		cfg := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: km.Certs, SessionTicketsDisabled: true}
		if km.Roots != nil {
			cfg.ClientCAs, cfg.ClientAuth = km.Roots, tls.VerifyClientCertIfGiven
		}
		return cfg
	})
}

func newReloading(f tlsFiles, refresh time.Duration, config func(*certprovider.KeyMaterial) *tls.Config) (*reloading, error) {
	r := &reloading{config: config, name: f.ServerName}
	if f.CA == "" && f.Cert == "" {
		return r, nil
	}
	var err error
	r.material, err = pemfile.NewProvider(pemfile.Options{
		CertFile: f.Cert, KeyFile: f.Key, RootFile: f.CA, RefreshDuration: refresh,
	})
	return r, err
}

// close ends the reading of files.
func (r *reloading) close() {
	if r != nil && r.material != nil {
		r.material.Close()
	}
}

// now returns credentials with what the files hold now.
func (r *reloading) now(ctx context.Context) (credentials.TransportCredentials, error) {
	km := &certprovider.KeyMaterial{}
	if r.material != nil {
		var err error
		if km, err = r.material.KeyMaterial(ctx); err != nil {
			return nil, err
		}
	}
	return credentials.NewTLS(r.config(km)), nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (r *reloading) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, err := r.now(ctx)
	if err != nil {
		return nil, nil, err
	}
	// gRPC takes the name from the authority, never from a tls.Config.
	return c.ClientHandshake(ctx, or(r.name, authority), conn)
}

// ServerHandshake implements credentials.TransportCredentials.
func (r *reloading) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), certRefresh)
	defer cancel()
	c, err := r.now(ctx)
	if err != nil {
		return nil, nil, err
	}
	return c.ServerHandshake(conn)
}

// Info implements credentials.TransportCredentials.
func (r *reloading) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials. There is nothing to copy:
// what differs from use to use is not kept.
func (r *reloading) Clone() credentials.TransportCredentials { return r }

// OverrideServerName implements credentials.TransportCredentials, which has it
// for old times' sake only.
func (r *reloading) OverrideServerName(string) error {
	return errors.New("not supported: the name is part of the configuration")
}
