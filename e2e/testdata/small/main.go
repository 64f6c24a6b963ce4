// Command small is the smallest program with an embedded server. README.md shows it.
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	context.AfterFunc(ctx, func() { os.Exit(0) })
	log.Fatal(run(ctx, sql.OpenDB(connector{}), listener))
}

func run(ctx context.Context, db *sql.DB, listener net.Listener) error {
	// The server runs the checks. A check is a func(context.Context) error.
	srv, err := server.New(server.Config{Service: "payments"})
	if err != nil {
		return err
	}
	if err := srv.Add(server.Check{Name: "db", Run: db.PingContext}); err != nil {
		return err
	}
	g := grpc.NewServer() // your own gRPC server
	srv.Register(g)       // adds both health services to it
	go srv.Run(ctx)

	// The client registers the instance. The coordinator need not run yet.
	mesh, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
	if err != nil {
		return err
	}
	mesh.RegisterAsync(client.Instance{
		Service: "payments", Instance: "b", Address: listener.Addr().String(), Feed: srv.Feed(),
	})
	return g.Serve(listener)
}

// connector opens connections to a database that does nothing.
type connector struct{ driver.Conn }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c, nil }
func (connector) Driver() driver.Driver                          { return nil }
func (connector) Close() error                                   { return nil }
