// Command service is the program in the README.
package main

import (
	"context"
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

	// Register with a coordinator. It need not be up.
	mesh, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
	if err != nil {
		return err
	}
	defer mesh.Close()
	var registration *client.Registration

	// Run checks, and serve what they come to.
	srv, err := server.New(server.Config{
		Service: "payments",
		OnDrain: []func(context.Context) error{
			func(ctx context.Context) error { return registration.Close(ctx) },
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
	go srv.Run(ctx)

	// Your own gRPC server, with both health services on it.
	g := grpc.NewServer()
	srv.Register(g)
	go g.Serve(listener)

	// Leave as one should: say so, deregister, end the streams, stop.
	<-ctx.Done()
	leave, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = srv.Drain(leave)
	g.GracefulStop()
	return err
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
