// Command service is a full program with an embedded server. docs/library.md shows it.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}

	// The client registers the instance. The coordinator need not run yet.
	mesh, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
	if err != nil {
		return err
	}
	var registration *client.Registration

	// The server runs checks, and serves the status that results from them.
	srv, err := server.New(server.Config{
		Service: "payments",
		OnDrain: []func(context.Context) error{
			func(ctx context.Context) error {
				if err := registration.Close(ctx); err != nil {
					log.Print(err) // the coordinator cannot be reached; the lease ends by itself
				}
				return nil
			},
		},
	})
	if err != nil {
		return err
	}
	if err := srv.Add(server.Check{Name: "db", Run: pingDB, Every: 5 * time.Second}); err != nil {
		return err
	}
	registration = mesh.RegisterAsync(client.Instance{
		Service: "payments", Instance: "a", Address: listener.Addr().String(), Feed: srv.Feed(),
	})

	// Your own gRPC server, with both health services on it.
	g := grpc.NewServer()
	srv.Register(g)

	// The program ends when one of these three ends by itself.
	ended := make(chan error, 3)
	go func() { ended <- srv.Run(ctx) }()
	go func() { ended <- g.Serve(listener) }()
	go func() { <-registration.Done(); ended <- registration.Err() }()
	select {
	case <-ctx.Done():
	case err = <-ended:
	}

	// Stop reports DRAINING, deregisters, ends the streams, and stops the server.
	return errors.Join(err, srv.Stop(g, 10*time.Second), mesh.Close())
}

// pingDB passes, warns or fails.
func pingDB(ctx context.Context) error {
	began := time.Now()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", "127.0.0.1:7071") // your database
	if err != nil {
		return err
	}
	took := time.Since(began)
	server.Observe(ctx, took.Seconds()*1000, "ms")
	if took > 100*time.Millisecond {
		return health.Warnf("slow: %v", took)
	}
	return conn.Close()
}
