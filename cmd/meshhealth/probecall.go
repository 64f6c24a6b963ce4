package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // the flag -gzip needs this codec
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Exit codes of the command probe. They are equal to those of grpc-health-probe, because the
// command can replace that program.
const (
	probeArguments = 1
	probeConnect   = 2
	probeRPC       = 3
	probeUnhealthy = 4
	probeSPIFFE    = 20
)

// dial returns a connection, without waiting until it is established. If err is not nil, code is
// the exit code of the command.
func (p *probe) dial() (conn *grpc.ClientConn, code exitCode, err error) {
	switch {
	case p.alts:
		return nil, probeConnect, errors.New("-alts: ALTS is not supported; allowed: plaintext and -tls")
	case p.spiffe:
		return nil, probeSPIFFE, errors.New("-spiffe: SPIFFE is not supported; allowed: plaintext and -tls")
	}
	creds, err := p.credentials()
	if err != nil {
		return nil, probeArguments, err
	}
	target, err := p.target()
	if err != nil {
		return nil, probeConnect, err
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds), grpc.WithUserAgent(p.userAgent),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
	}
	if p.gzip {
		opts = append(opts, grpc.WithDefaultCallOptions(grpc.UseCompressor("gzip")))
	}
	if conn, err = grpc.NewClient(target, opts...); err != nil {
		return nil, probeConnect, fmt.Errorf("-addr: %w", err)
	}
	return conn, exitOK, nil
}

// target returns the address in the form that gRPC expects. It does the same as grpc-health-probe:
// an address without a known scheme is dialled without a resolver. An address that can never be
// dialled is an error.
func (p *probe) target() (string, error) {
	if u, err := url.Parse(p.address); err == nil && resolver.Get(u.Scheme) != nil {
		return p.address, nil
	}
	if scheme, rest, ok := strings.Cut(p.address, ":"); ok && (scheme == "ipv4" || scheme == "ipv6") {
		return "", fmt.Errorf("-addr: gRPC for Go has no scheme %s; allowed: %s", scheme, strings.TrimLeft(rest, "/"))
	}
	if _, _, err := wire.SplitAddress(p.address); err != nil {
		return "", fmt.Errorf("-addr: %w", err)
	}
	return "passthrough:///" + p.address, nil
}

func (p *probe) credentials() (credentials.TransportCredentials, error) {
	if !p.tls {
		return insecure.NewCredentials(), nil
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: p.serverName,
		InsecureSkipVerify: p.noVerify, // #nosec G402 -- the user has given the flag -tls-no-verify
	}
	var errs []error
	if p.cert != "" {
		pair, err := tls.LoadX509KeyPair(p.cert, p.key)
		if err != nil {
			errs = append(errs, fmt.Errorf("-tls-client-cert: %w", cmp.Or(input.CheckPath(p.cert), input.CheckPath(p.key), err)))
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if p.ca != "" {
		cfg.RootCAs = x509.NewCertPool()
		text, err := os.ReadFile(p.ca)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("-tls-ca-cert: %w", cmp.Or(input.CheckPath(p.ca), err)))
		case !cfg.RootCAs.AppendCertsFromPEM(text):
			errs = append(errs, fmt.Errorf("-tls-ca-cert: %q has no certificate in it", p.ca))
		}
	}
	return credentials.NewTLS(cfg), errors.Join(errs...)
}

// connect waits until the connection is established, but not longer than the connect time-out. It
// waits because the server may not listen yet when the probe starts.
func (p *probe) connect(ctx context.Context, conn *grpc.ClientConn) error {
	waiting, cancel := context.WithTimeout(ctx, p.connectTimeout)
	defer cancel()
	why := ""
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		switch state {
		case connectivity.Idle:
			conn.Connect()
		case connectivity.TransientFailure:
			why = p.dialError(waiting, conn)
		}
		if !conn.WaitForStateChange(waiting, state) {
			return fmt.Errorf("not connected to %s within %v%s", p.address, p.connectTimeout, why)
		}
	}
	return nil
}

// dialError returns the error of the last attempt to connect. gRPC reports this error only in the
// result of a call, so dialError makes a call, which fails at once.
func (p *probe) dialError(ctx context.Context, conn *grpc.ClientConn) string {
	_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: p.service})
	if status.Code(err) != codes.Unavailable {
		return ""
	}
	return ": " + status.Convert(err).Message()
}

// checkOnce makes one Check of grpc.health.v1, as every other prober does. A meshhealth server
// that is DEGRADED answers SERVING, and sends DEGRADED in a trailer.
func (p *probe) checkOnce(ctx context.Context, a *app, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, p.rpcTimeout)
	defer cancel()
	var trailer metadata.MD
	resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: p.service}, grpc.Trailer(&trailer))
	if err != nil {
		return p.noAnswer(a, err)
	}
	if resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		a.say("unhealthy: %v", resp.GetStatus())
		return exitCode(probeUnhealthy)
	}
	shown := health.Serving
	if slices.Equal(trailer.Get(wire.TrailerStatus), []string{health.Degraded.String()}) {
		shown = health.Degraded
	}
	if shown == health.Degraded && p.degradedFails {
		a.say("unhealthy: %v", shown)
		return exitCode(probeUnhealthy)
	}
	_, err = fmt.Fprintln(a.stdout, "status:", shown)
	return err
}

// noAnswer prints why the server has not answered, and returns the exit code as an error.
func (p *probe) noAnswer(a *app, err error) error {
	switch s := status.Convert(err); s.Code() {
	case codes.Unimplemented:
		a.say("meshhealth: %s does not serve grpc.health.v1.Health", p.address)
	case codes.DeadlineExceeded:
		a.say("meshhealth: no answer within %v", p.rpcTimeout)
	default:
		a.say("meshhealth: %v: %s", s.Code(), s.Message())
	}
	return exitCode(probeRPC)
}
