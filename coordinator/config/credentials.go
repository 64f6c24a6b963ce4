package config

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/tls/certprovider"
	"google.golang.org/grpc/credentials/tls/certprovider/pemfile"
)

// certRefresh is the interval at which certificate files are checked for changes.
const certRefresh = 10 * time.Second

// Credentials are TLS credentials whose files may be replaced at any time. Each handshake uses
// the current content of the files. TLS sessions are not resumed, because a session could be
// resumed after its certificate is no longer trusted.
type Credentials struct {
	files certprovider.Provider // reads the certificate files; nil if there are none
	// name is the name that the certificate of a dialled server must contain. If name is
	// empty, the certificate must contain the dialled name. name takes precedence over the
	// name in a registration, because an instance must not choose its own identity.
	name   string
	config func(km *certprovider.KeyMaterial) *tls.Config
}

var _ credentials.TransportCredentials = (*Credentials)(nil)

// ClientCredentials returns credentials for outgoing connections. The caller must close the
// credentials.
func ClientCredentials(t *TLS) (*Credentials, error) {
	least := uint16(tls.VersionTLS13)
	if t.TLS12 {
		least = tls.VersionTLS12
	}
	return newCredentials(t, certRefresh, func(km *certprovider.KeyMaterial) *tls.Config {
		return &tls.Config{MinVersion: least, RootCAs: km.Roots, Certificates: km.Certs}
	})
}

// ServerCredentials returns credentials for incoming connections. The credentials accept a client
// without a certificate, because the coordinator can refuse single calls of such a client. The
// caller of ServerCredentials must close the credentials.
func ServerCredentials(t *TLS) (*Credentials, error) { return serverCredentials(t, certRefresh) }

func serverCredentials(t *TLS, refresh time.Duration) (*Credentials, error) {
	return newCredentials(t, refresh, func(km *certprovider.KeyMaterial) *tls.Config {
		cfg := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: km.Certs, SessionTicketsDisabled: true}
		if km.Roots != nil {
			cfg.ClientCAs, cfg.ClientAuth = km.Roots, tls.VerifyClientCertIfGiven
		}
		return cfg
	})
}

func newCredentials(t *TLS, refresh time.Duration, config func(*certprovider.KeyMaterial) *tls.Config) (*Credentials, error) {
	c := &Credentials{config: config, name: t.ServerName}
	if t.CA == "" && t.Cert == "" {
		return c, nil
	}
	var err error
	c.files, err = pemfile.NewProvider(pemfile.Options{
		CertFile: t.Cert, KeyFile: t.Key, RootFile: t.CA, RefreshDuration: refresh,
	})
	return c, err
}

// Close stops reading the files. If the credentials have files, every handshake after Close fails.
func (c *Credentials) Close() {
	if c.files != nil {
		c.files.Close()
	}
}

// HTTPConfig returns the configuration of an HTTP server with the same files. Each handshake uses the
// current content of the files.
func (c *Credentials) HTTPConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		cfg, err := c.currentConfig(hello.Context())
		if err != nil {
			return nil, err
		}
		cfg.NextProtos = []string{"h2", "http/1.1"}
		return cfg, nil
	}}
}

// current returns credentials with the current content of the files.
func (c *Credentials) current(ctx context.Context) (credentials.TransportCredentials, error) {
	cfg, err := c.currentConfig(ctx)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(cfg), nil
}

func (c *Credentials) currentConfig(ctx context.Context) (*tls.Config, error) {
	km := &certprovider.KeyMaterial{}
	if c.files != nil {
		var err error
		if km, err = c.files.KeyMaterial(ctx); err != nil {
			return nil, err
		}
	}
	return c.config(km), nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (c *Credentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	current, err := c.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	// gRPC verifies the name that is passed here, and ignores the field ServerName of a tls.Config.
	return current.ClientHandshake(ctx, cmp.Or(c.name, authority), conn)
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *Credentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), certRefresh)
	defer cancel()
	current, err := c.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	return current.ServerHandshake(conn)
}

// Info implements credentials.TransportCredentials.
func (c *Credentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials. It returns c itself, because c is safe for
// concurrent use.
func (c *Credentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials. It always returns an error.
func (c *Credentials) OverrideServerName(string) error {
	return errors.New("not supported: the name is part of the configuration")
}
