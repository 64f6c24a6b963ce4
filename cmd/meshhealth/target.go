package main

import (
	"errors"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// coordinatorEnv names the coordinator where no flag does.
const coordinatorEnv = "MESHHEALTH_COORDINATOR"

// target says whom a command asks, and how.
type target struct {
	address  string
	timeout  time.Duration
	tls      tlsFiles
	insecure bool
}

// flags adds those every asking command has.
func (t *target) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&t.address, "coordinator", "", "`HOST:PORT` to ask (default $"+coordinatorEnv+", or "+coordinator.DefaultListen+")")
	fl.DurationVar(&t.timeout, "timeout", 5*time.Second, "how long to wait for an answer")
	fl.StringVar(&t.tls.CA, "tls-ca", "", "`FILE` with the roots of the coordinator's certificate (default: the system's)")
	fl.StringVar(&t.tls.Cert, "tls-cert", "", "`FILE` with a certificate to show")
	fl.StringVar(&t.tls.Key, "tls-key", "", "`FILE` with its key, in the same folder")
	fl.StringVar(&t.tls.ServerName, "server-name", "", "`NAME` in the coordinator's certificate (default: HOST)")
	fl.BoolVar(&t.insecure, "insecure", false, "talk plaintext, although not to this machine")
}

// complete fills in what was not given, and checks all of it.
func (t *target) complete(cmd *cobra.Command, getenv func(string) string) error {
	name := "--coordinator"
	if t.address == "" {
		name, t.address = coordinatorEnv, getenv(coordinatorEnv)
	}
	t.address = or(t.address, coordinator.DefaultListen)
	var errs []error
	if err := checkTarget(t.address); err != nil {
		errs = append(errs, usage(cmd, "%s: %w", name, err))
	}
	if t.timeout <= 0 {
		errs = append(errs, usage(cmd, "--timeout: %v is no time; allowed: more than 0, such as 5s", t.timeout))
	}
	if t.insecure && t.tls != (tlsFiles{}) {
		errs = append(errs, usage(cmd, "--insecure is given beside TLS flags; allowed: one of them"))
	}
	for _, e := range t.tls.check() {
		errs = append(errs, usage(cmd, "--tls-%s: %w", e.field, e.err))
	}
	return errors.Join(errs...)
}

func checkTarget(address string) error {
	if strings.HasPrefix(address, ":") {
		return errors.New("has no host; allowed: HOST:PORT")
	}
	if _, _, err := net.SplitHostPort(address); err != nil && !strings.Contains(address, ":") {
		return errors.New("has no port; allowed: HOST:PORT")
	}
	return wire.CheckAddress(address)
}

// plaintext reports whether TLS is left out: on this machine unless something
// of it is given, elsewhere only when told so.
func (t *target) plaintext() bool {
	return t.insecure || wire.IsLoopback(t.address) && t.tls == (tlsFiles{})
}

// credentials returns what to talk with. The caller closes it.
func (t *target) credentials() (credentials.TransportCredentials, func(), error) {
	if t.plaintext() {
		return insecure.NewCredentials(), func() {}, nil
	}
	creds, err := clientCreds(t.tls, certRefresh)
	if err != nil {
		return nil, nil, err
	}
	return creds, creds.close, nil
}

// dial returns a connection for single calls. They are not tried again: who
// asks wants to know now that nobody answers.
func (t *target) dial() (*grpc.ClientConn, func(), error) {
	creds, closeCreds, err := t.credentials()
	if err != nil {
		return nil, nil, err
	}
	conn, err := grpc.NewClient(t.address, append(wire.DialOptions(wire.MaxWatchMessage), grpc.WithTransportCredentials(creds))...)
	if err != nil {
		closeCreds()
		return nil, nil, err
	}
	return conn, func() { _ = conn.Close(); closeCreds() }, nil
}
