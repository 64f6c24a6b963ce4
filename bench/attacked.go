package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/coordinator/api"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The size of the mesh that benchAttacker attacks.
const (
	attackedInstances = 50_000 // number of instances of all services
	attackedServices  = 90     // number of services, which is below 100, the limit of List of grpc.health.v1
	largeService      = 10_000 // number of instances of the largest service
)

// secured returns TLS credentials for a server, with a new self-signed certificate. The server
// also accepts clients without a certificate.
func secured() (credentials.TransportCredentials, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"bench"}}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}},
		ClientAuth:   tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS13,
	}), nil
}

// unverified returns the TLS configuration of a client that has no certificate, and that
// accepts every certificate of a server.
func unverified() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13}
}

// freeing starts a goroutine that returns unused memory to the system after each SIGUSR1. The
// benchmark sends SIGUSR1 before it measures the resident memory, so that only used memory counts.
func freeing(ctx context.Context) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() {
		for {
			select {
			case <-told:
				debug.FreeOSMemory()
			case <-ctx.Done():
				return
			}
		}
	}()
}

// serveAttacked runs the gRPC server of a coordinator with attackedInstances instances until
// ctx ends. The coordinator does not follow the instances, so that only callers cause work.
func serveAttacked(ctx context.Context) error {
	freeing(ctx)
	r, err := registry.New(ctx, registry.Config{Store: store.NewMemory(0), Epoch: 1})
	if err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx) }()
	if err := fill(ctx, r); err != nil {
		return err
	}
	creds, err := secured()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// Without the right to read statuses, callers without a certificate would cause no work.
	policy, err := access.Compile(&access.Policy{Rules: []access.Rule{{
		Name: "statuses", Who: []string{"anyone"}, Read: &access.Read{Services: []string{"*"}, Detail: access.Status},
	}}})
	if err != nil {
		return err
	}
	door := api.New(api.Config{
		Registry: r, Feed: r.Feed(), Targets: &wire.Targets{}, Access: api.NewAccess(policy, "", nil, nil),
		Peers: api.NewPeers(1024, 0), MaxWatchersPerPeer: 20_000,
	})
	fmt.Println(l.Addr())
	err = door.Serve(ctx, api.Listener{Listener: l, Credentials: creds})
	<-ran
	return err
}

// fill registers attackedInstances instances. largeService of them belong to one service, and the
// others belong to many smaller services.
func fill(ctx context.Context, r *registry.Registry) error {
	var regs []wire.Registration
	for i := range attackedInstances {
		service := "large"
		if i >= largeService {
			service = name("service", i%(attackedServices-1))
		}
		regs = append(regs, wire.Registration{
			ID: health.ID{Service: service, Instance: name("instance", i)},
			Spec: health.Spec{
				Address: "192.0.2.1:1", Incarnation: "i", TTL: wire.MaxTTL, Zone: name("zone", i%3),
				Labels: map[string]string{"team": "core", "version": "v1"},
			},
		})
		if len(regs) == wire.MaxRegistrations || i == attackedInstances-1 {
			if _, err := r.Register(ctx, regs); err != nil {
				return err
			}
			regs = nil
		}
	}
	return nil
}

// serveStock128 runs the health server of grpc-go with attackedServices services, until ctx
// ends. Each connection may have at most 128 streams.
func serveStock128(ctx context.Context) error {
	freeing(ctx)
	creds, err := secured()
	if err != nil {
		return err
	}
	s := stock.NewServer()
	for i := range attackedServices {
		s.SetServingStatus(name("service", i), healthpb.HealthCheckResponse_SERVING)
	}
	return serveUntil(ctx, grpc.NewServer(grpc.Creds(creds), grpc.MaxConcurrentStreams(128)), func(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) })
}
