package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// coordinatorEnv is the environment variable that has the default of the flag --coordinator.
const coordinatorEnv = "MESHHEALTH_COORDINATOR"

// tokenEnv is the environment variable that has the default of the flag --token-file.
const tokenEnv = "MESHHEALTH_TOKEN_FILE"

// target has the values of the flags that say which coordinator a command calls, and how.
type target struct {
	address   string
	timeout   time.Duration
	tls       config.TLS
	tokenFile string
	insecure  bool
	// failed returns the last failed handshake with the coordinator, or nil. It is nil before the
	// first connection, and in plaintext.
	failed func() *certs.Failure
	// expires is the time at which the certificate of the caller expires. It is zero before the first
	// connection, and if there is no certificate.
	expires time.Time
}

// addTo adds to cmd the flags that all commands for a coordinator have in common.
func (t *target) addTo(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&t.address, "coordinator", "", "`HOST:PORT` to ask, or unix:PATH (default $"+coordinatorEnv+", or "+coordinator.DefaultListen+")")
	fl.DurationVar(&t.timeout, "timeout", 5*time.Second, "how long to wait for an answer")
	fl.StringVar(&t.tls.CA, "tls-ca", "", "`FILE` with the roots of the coordinator's certificate (default: the system's)")
	fl.StringVar(&t.tls.Cert, "tls-cert", "", "`FILE` with our own certificate")
	fl.StringVar(&t.tls.Key, "tls-key", "", "`FILE` with its key, in the same folder")
	fl.StringVar(&t.tls.ServerName, "server-name", "", "`NAME` in the coordinator's certificate (default: HOST)")
	fl.StringVar(&t.tokenFile, "token-file", "", "`FILE` with our bearer token, readable by us only (default $"+tokenEnv+")")
	fl.BoolVar(&t.insecure, "insecure", false, "use plaintext to another machine")
}

// complete fills in defaults and checks all fields.
func (t *target) complete(cmd *cobra.Command, getenv func(string) string) error {
	name := "--coordinator"
	if t.address == "" {
		name, t.address = coordinatorEnv, getenv(coordinatorEnv)
	}
	t.address = cmp.Or(t.address, coordinator.DefaultListen)
	var errs []error
	if err := checkTarget(t.address); err != nil {
		errs = append(errs, usage(cmd, "%s: %w", name, err))
	}
	if t.timeout <= 0 {
		errs = append(errs, usage(cmd, "--timeout: is %v; allowed: more than 0, such as 5s", t.timeout))
	}
	if t.tokenFile == "" {
		t.tokenFile = getenv(tokenEnv)
	}
	if t.tokenFile != "" {
		if _, err := client.TokenFile(t.tokenFile); err != nil {
			errs = append(errs, usage(cmd, "--token-file: %w", err))
		} else if t.plaintext() && !t.overSocket() {
			errs = append(errs, usage(cmd, "--token-file: is given for a connection in plaintext; allowed: with TLS (--tls-ca), or --coordinator unix:PATH"))
		}
	}
	if t.insecure && t.tls != (config.TLS{}) {
		errs = append(errs, usage(cmd, "--insecure is given beside TLS flags; allowed: one of them"))
	}
	for _, err := range fields.Flatten(t.tls.Check()) {
		errs = append(errs, usage(cmd, "--tls-%w", err))
	}
	return errors.Join(errs...)
}

func checkTarget(address string) error {
	if path, is := strings.CutPrefix(address, unixScheme); is {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%q has no absolute path; allowed: unix:/PATH", wire.CleanTo(address, wire.MaxAddress))
		}
		return input.CheckPath(path)
	}
	host, _, err := wire.SplitAddress(address)
	switch {
	case err == nil && host == "":
		return fmt.Errorf("%q has no host; allowed: HOST:PORT", address)
	case !strings.Contains(address, ":"):
		return fmt.Errorf("%q has no port; allowed: HOST:PORT", wire.CleanTo(address, wire.MaxAddress))
	}
	return wire.CheckAddress(address)
}

// plaintext reports whether the connection uses no TLS. This is the default on loopback if no TLS
// flag is given. For other addresses the flag --insecure is necessary.
func (t *target) plaintext() bool {
	return t.insecure || t.overSocket() || wire.IsLoopback(t.address) && t.tls == (config.TLS{})
}

// unixScheme begins the address of a unix socket.
const unixScheme = "unix:"

// overSocket reports whether the address is that of a unix socket.
func (t *target) overSocket() bool { return strings.HasPrefix(t.address, unixScheme) }

// credentials returns the credentials for the connection. The caller must call closeFiles at the end.
func (t *target) credentials() (creds credentials.TransportCredentials, closeFiles func(), err error) {
	switch {
	case t.overSocket():
		return local.NewCredentials(), func() {}, nil
	case t.plaintext():
		return insecure.NewCredentials(), func() {}, nil
	}
	source, err := t.tls.Open(certs.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	c := source.Client(t.tls.Dial())
	t.failed, t.expires = c.LastFailure, source.Status().Expires
	return c, source.Close, nil
}

// dial returns a connection for single calls. A failed call is not repeated, so that the user learns
// at once that there is no answer.
func (t *target) dial() (conn *grpc.ClientConn, closeConn func(), err error) {
	creds, closeFiles, err := t.credentials()
	if err != nil {
		return nil, nil, err
	}
	opts := append(wire.DialOptions(wire.MaxWatchMessage), grpc.WithTransportCredentials(creds))
	if t.tokenFile != "" {
		token, err := client.TokenFile(t.tokenFile)
		if err != nil {
			closeFiles()
			return nil, nil, err
		}
		opts = append(opts, grpc.WithPerRPCCredentials(token))
	}
	s := &socketFallback{target: t}
	if !t.overSocket() && t.plaintext() && wire.IsLoopback(t.address) {
		opts = append(opts, grpc.WithChainUnaryInterceptor(s.unary), grpc.WithChainStreamInterceptor(s.stream))
	}
	conn, err = grpc.NewClient(t.address, opts...)
	if err != nil {
		closeFiles()
		return nil, nil, err
	}
	return conn, func() { _ = conn.Close(); s.close(); closeFiles() }, nil
}

// watcher returns a client for a Watch. The Watch continues after an outage of the coordinator.
func (t *target) watcher() (c *client.Client, closeClient func(), err error) {
	creds, closeFiles, err := t.credentials()
	if err != nil {
		return nil, nil, err
	}
	cfg := client.Config{Coordinator: t.address, Insecure: t.insecure, TokenFile: t.tokenFile}
	if !t.plaintext() {
		cfg.Credentials = creds
	}
	c, err = client.New(cfg)
	if err != nil {
		closeFiles()
		return nil, nil, err
	}
	return c, func() { _ = c.Close(); closeFiles() }, nil
}
