package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // for -gzip
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// probe connects, and asks or watches.
func (a *app) probe(ctx context.Context, p *probe) error {
	creds, err := p.credentials()
	if err != nil {
		a.complain(err)
		return exitCode(probeArguments)
	}
	opts := []grpc.DialOption{grpc.WithTransportCredentials(creds), grpc.WithUserAgent(p.userAgent)}
	if p.gzip {
		opts = append(opts, grpc.WithDefaultCallOptions(grpc.UseCompressor("gzip")))
	}
	conn, err := grpc.NewClient(p.address, opts...)
	if err != nil {
		a.complain(err)
		return exitCode(probeArguments)
	}
	defer conn.Close()
	if err := p.connect(ctx, conn); err != nil {
		a.complain(err)
		return exitCode(probeConnect)
	}
	if p.verbose {
		a.say("connected to %s", p.address)
	}
	ctx = metadata.NewOutgoingContext(ctx, p.headers.MD)
	if p.watch {
		return a.probeWatch(ctx, conn, p)
	}
	return a.probeOnce(ctx, conn, p)
}

func (p *probe) credentials() (credentials.TransportCredentials, error) {
	if !p.tls {
		return insecure.NewCredentials(), nil
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: p.serverName,
		InsecureSkipVerify: p.noVerify, //nolint:gosec // asked for by name
	}
	var errs []error
	if p.cert != "" {
		pair, err := tls.LoadX509KeyPair(p.cert, p.key)
		if err != nil {
			errs = append(errs, fmt.Errorf("-tls-client-cert: %w", err))
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if p.ca != "" {
		cfg.RootCAs = x509.NewCertPool()
		text, err := os.ReadFile(p.ca)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("-tls-ca-cert: %w", err))
		case !cfg.RootCAs.AppendCertsFromPEM(text):
			errs = append(errs, fmt.Errorf("-tls-ca-cert: %q has no certificate in it", p.ca))
		}
	}
	return credentials.NewTLS(cfg), errors.Join(errs...)
}

// connect waits for a connection: a server that comes up meanwhile is in time.
func (p *probe) connect(ctx context.Context, conn *grpc.ClientConn) error {
	waiting, cancel := context.WithTimeout(ctx, p.connectTimeout)
	defer cancel()
	why := ""
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		switch state {
		case connectivity.Idle:
			conn.Connect()
		case connectivity.TransientFailure:
			why = p.whyNot(waiting, conn)
		}
		if !conn.WaitForStateChange(waiting, state) {
			return fmt.Errorf("not connected to %s within %v%s", p.address, p.connectTimeout, why)
		}
	}
	return nil
}

// whyNot returns what the last try to connect has failed with. Only a call is
// told, and at once.
func (p *probe) whyNot(ctx context.Context, conn *grpc.ClientConn) string {
	_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: p.service})
	if status.Code(err) != codes.Unavailable {
		return ""
	}
	return ": " + status.Convert(err).Message()
}

// probeOnce goes by what grpc.health.v1 says, as every other prober; what ours
// adds is asked for where that says SERVING.
func (a *app) probeOnce(ctx context.Context, conn *grpc.ClientConn, p *probe) error {
	ctx, cancel := context.WithTimeout(ctx, p.rpcTimeout)
	defer cancel()
	resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: p.service})
	if err != nil {
		return a.notAnswered(p, err)
	}
	if resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		a.say("unhealthy: %v", resp.GetStatus())
		return exitCode(probeUnhealthy)
	}
	shown := health.Serving
	ours, err := pb.NewHealthServiceClient(conn).Check(ctx, &pb.CheckRequest{Service: p.service})
	if err == nil && ours.GetStatus() == pb.Status_STATUS_DEGRADED {
		shown = health.Degraded
	}
	if shown == health.Degraded && p.degradedFails {
		a.say("unhealthy: %v", shown)
		return exitCode(probeUnhealthy)
	}
	_, err = fmt.Fprintln(a.stdout, "status:", shown)
	return err
}

// notAnswered says why there is no answer.
func (a *app) notAnswered(p *probe, err error) error {
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
